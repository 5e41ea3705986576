"""The faults that keep a state path's file system from reaching its store, each with the field to correct.

They are known by class names and by the fixed beginnings of texts: botocore's
(https://github.com/boto/botocore/blob/develop/botocore/exceptions.py), Google's
(https://googleapis.dev/python/google-auth/latest/reference/google.auth.exceptions.html) and Azure's
(https://learn.microsoft.com/python/api/azure-identity/azure.identity.credentialunavailableerror). None of these
libraries is imported.
"""

from __future__ import annotations

from airflow_provider_amplitude_segment.core.http.network_fault import NetworkFault, find_fault
from airflow_provider_amplitude_segment.core.http.network_kind import causes

_CREDENTIALS = "Check the credentials of the state path's connection, or the worker's own (role, environment, files)."
_SETTINGS = "Check Extra of the state path's connection (config_kwargs), and AWS_… of the worker's environment."

_ENDPOINT = NetworkFault(
    "the address of the endpoint cannot be used",
    "Correct endpoint_url in Extra of the state path's connection: it begins with http:// or https://, and its port is "
    "65535 at most, e.g. https://minio.example.com:9000.",
    is_lasting=True,
)
_REGION = NetworkFault(
    "the region is missing, or has no valid name",
    "Correct region_name in Extra of the state path's connection, or AWS_DEFAULT_REGION of the environment, e.g. "
    "eu-central-1, without blanks.",
    is_lasting=True,
)
_PROFILE = NetworkFault(
    "the AWS configuration of this worker does not have the profile",
    "Correct profile_name in Extra of the state path's connection, or AWS_PROFILE of the environment, or add the "
    "profile on every worker.",
    is_lasting=True,
)
_CONFIG_FILE = NetworkFault(
    "this worker's AWS configuration file is missing or cannot be read",
    "Correct AWS_CONFIG_FILE of the environment, or the file, on every worker.",
    is_lasting=True,
)
_SETTING = NetworkFault("the AWS library does not take one of its settings", _SETTINGS, is_lasting=True)
_NO_CREDENTIALS = NetworkFault("no credentials are found", _CREDENTIALS, is_lasting=True)
_PART_OF_CREDENTIALS = NetworkFault("a part of the credentials is missing", _CREDENTIALS, is_lasting=True)
_LOGIN = NetworkFault(
    "the login behind the credentials has ended, or needs a person",
    "Log in again on every worker, or give the state path's connection credentials that need no login.",
    is_lasting=True,
)

_BEFORE_THE_NETWORK: dict[str, NetworkFault] = {
    **dict.fromkeys(
        ("EndpointResolutionError", "UnknownEndpointError", "InvalidEndpointConfigurationError"), _ENDPOINT
    ),
    **dict.fromkeys(("NoRegionError", "InvalidRegionError", "UnknownRegionError", "ServiceNotInRegionError"), _REGION),
    "ProfileNotFound": _PROFILE,
    **dict.fromkeys(("ConfigNotFound", "ConfigParseError"), _CONFIG_FILE),
    **dict.fromkeys(
        (
            "InfiniteLoopConfigError",
            "InvalidChecksumConfigError",
            "InvalidConfigError",
            "InvalidDefaultsMode",
            "InvalidEndpointDiscoveryConfigurationError",
            "InvalidIMDSEndpointError",
            "InvalidIMDSEndpointModeError",
            "InvalidMaxRetryAttemptsError",
            "InvalidRetryConfigurationError",
            "InvalidRetryModeError",
            "InvalidS3AddressingStyleError",
            "InvalidS3UsEast1RegionalEndpointConfigError",
            "InvalidSTSRegionalEndpointsConfigError",
            "UnknownSignatureVersionError",
            "UnsupportedS3ConfigurationError",
            "UnsupportedSignatureVersionError",
        ),
        _SETTING,
    ),
    **dict.fromkeys(
        (
            "CredentialUnavailableError",
            "DefaultCredentialsError",
            "NoAuthTokenError",
            "NoCredentialsError",
            "UnknownCredentialError",
        ),
        _NO_CREDENTIALS,
    ),
    "PartialCredentialsError": _PART_OF_CREDENTIALS,
    **dict.fromkeys(
        (
            "LoginInsufficientPermissions",
            "LoginRefreshRequired",
            "LoginTokenLoadError",
            "RefreshWithMFAUnsupportedError",
            "SSOTokenLoadError",
            "TokenRetrievalError",
            "UnauthorizedSSOTokenError",
        ),
        _LOGIN,
    ),
}

# Libraries raise these for a network's fault, too; then that fault is the cause of the error.
_AFTER_THE_NETWORK: dict[str, NetworkFault] = {
    **dict.fromkeys(
        ("ClientAuthenticationError", "RefreshError"),
        NetworkFault("the credentials are refused", _CREDENTIALS, is_lasting=True),
    ),
    "MalformedError": NetworkFault("the credentials have the wrong form", _CREDENTIALS, is_lasting=True),
    **dict.fromkeys(
        ("CredentialRetrievalError", "MetadataRetrievalError"),
        NetworkFault("the credentials could not be fetched", _CREDENTIALS, is_lasting=False),
    ),
}


def find_store_fault(error: BaseException) -> NetworkFault | None:
    """Return why a file system got no response of its store; ``None`` where no error in the chain shows it.

    >>> find_store_fault(ValueError("Invalid endpoint: minio:9000")).reason
    'the address of the endpoint cannot be used'
    >>> class RefreshError(Exception):
    ...     retryable = False
    >>> refused = RefreshError("invalid_grant")
    >>> find_store_fault(refused).reason, find_store_fault(refused).is_lasting
    ('the credentials are refused', True)
    >>> refused.__cause__ = ConnectionRefusedError(111, "")
    >>> find_store_fault(refused).reason, find_store_fault(refused).is_lasting
    ('the server refuses the connection', False)
    >>> find_store_fault(ValueError("mine")) is None
    True
    """
    chain = tuple(causes(error))
    if any(isinstance(found, ValueError) and str(found).startswith("Invalid endpoint") for found in chain):
        return _ENDPOINT
    names = [type(found).__name__ for found in chain]
    known = next((_BEFORE_THE_NETWORK[name] for name in names if name in _BEFORE_THE_NETWORK), None)
    if known is not None:
        return known
    fault = find_fault(error, "store")
    if fault is not None:
        return fault
    known = next((_AFTER_THE_NETWORK[name] for name in names if name in _AFTER_THE_NETWORK), None)
    # Google's errors carry whether they are transient.
    if known is not None and any(getattr(found, "retryable", False) is True for found in chain):
        return NetworkFault("the credentials could not be fetched", known.advice, is_lasting=False)
    return known
