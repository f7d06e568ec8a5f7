"""How good it is: each claim measured by its field's protocol, on patients never learnt from."""


class BadReference(ValueError):
    """Annotations that can't be judged by; says where, what was found and what was expected."""


class NothingToJudge(ValueError):
    """No recording is left to judge; says in which database and split."""
