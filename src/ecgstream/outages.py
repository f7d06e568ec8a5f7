"""Which errors of the client are Kafka's and may pass: the process ends with 3, and is to be started again."""

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

LATE_OR_REFUSED = (
    KafkaTimeoutError,
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


def is_kafkas(error: BaseException) -> bool:
    """Whether Kafka didn't answer, not in time, or refused us our rights; what else the client raises is a fault of our own."""
    return isinstance(error, LATE_OR_REFUSED) or (isinstance(error, KafkaError) and error.retriable)
