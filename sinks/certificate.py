"""Why a server's certificate was not accepted, in a sentence with its way out."""

from ssl import SSLCertVerificationError

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID = 9
_EXPIRED = 10
_MADE_FOR_OTHERS = frozenset({62, 64})  # another host name, another address


def distrust(error: SSLCertVerificationError, ca_setting: str) -> str:
    """`ca_setting`: the variable that names the authority to be trusted."""
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired; have the server's certificate renewed"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; check the clocks, and the server's certificate"
    if code in _MADE_FOR_OTHERS:
        return "its certificate is not made for the name it is called by; use a name that is in it, or have one made"
    return f"its certificate is signed by an authority that is not trusted here; set {ca_setting} to that authority's"
