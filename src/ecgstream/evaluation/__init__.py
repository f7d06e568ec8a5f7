"""How good it is: each claim measured by its field's protocol, on patients never learnt from."""
