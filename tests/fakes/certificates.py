"""An authority that nobody trusts by itself, and certificates of it."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    """Issues certificates into a folder; ``file`` is what makes them trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = str(self._write("authority", self._sign("authority", self._key, is_authority=True), None))

    def issue(self, name: str, subject: x509.GeneralName = LOOPBACK, *, days: tuple[int, int] = (-1, 1)) -> Path:
        """Return a file with a certificate and its key, valid between two days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, self._sign(name, key, subject, days=days), key)

    def context(self, certificate: Path, *, wants_client: bool = False) -> ssl.SSLContext:
        """Return what a server needs for TLS with a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
            # The client hears of it during the handshake, and not with the first answer as in 1.3.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.GeneralName = LOOPBACK,
        *,
        days: tuple[int, int] = (-9, 9),
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
            .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> Path:
        content = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            content += key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        file = self._folder / f"{name}.pem"
        file.write_bytes(content)
        return file
