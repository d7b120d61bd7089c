"""A broker as it should stand on a network: TLS, a user for everybody, and nothing allowed that no ACL allows.

Beside the listener that everybody uses it has some that are set up wrongly, so that clients can be seen to mind.
"""

import re
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from scripts.cli.acls import PRINCIPAL_PREFIX, Grant, grants
from scripts.stack.broker import start_cluster
from scripts.stack.broker_config import NodePorts
from scripts.stack.cluster_record import ClusterRecord, kafka_uuid
from scripts.stack.ports import LOOPBACK, reserve_port
from streams.settings import KafkaSettings
from tests.integration.authority import KEY_PASSWORD, Authority

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
Listener = Literal["SECURE", "EXPIRED", "ELSEWHERE", "MUTUAL"]
Way = Literal["SCRAM-SHA-512", "PLAIN", "certificate"]
_LISTENERS: tuple[Listener, ...] = ("SECURE", "EXPIRED", "ELSEWHERE", "MUTUAL")
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}
_RESOURCES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}


@dataclass(frozen=True, slots=True)
class SecuredCluster:
    """`bootstrap` by listener, passwords by user. Whoever comes over `inside` may do everything: it is the test."""

    authority: Authority
    inside: str
    bootstrap: Mapping[Listener, str]
    passwords: Mapping[str, str]

    def environment(self, user: str, way: Way = "SCRAM-SHA-512", *, listener: Listener = "SECURE") -> dict[str, str]:
        """What a process of ours is told of Kafka."""
        shared = {
            "MILLRACE_KAFKA_SSL_CA_FILE": str(self.authority.file),
            "MILLRACE_KAFKA_PARTITIONS": "2",
            # a member that a test has killed is missed sooner
            "MILLRACE_KAFKA_SESSION_TIMEOUT_MS": "15000",
            "MILLRACE_KAFKA_DELIVERY_TIMEOUT_MS": "10000",
        }
        if way == "certificate":
            certificate, key = self.authority.client(user)
            return {
                **shared,
                "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap["MUTUAL"],
                "MILLRACE_KAFKA_SECURITY_PROTOCOL": "SSL",
                "MILLRACE_KAFKA_SSL_CERTIFICATE_FILE": str(certificate),
                "MILLRACE_KAFKA_SSL_KEY_FILE": str(key),
                "MILLRACE_KAFKA_SSL_KEY_PASSWORD": KEY_PASSWORD,
            }
        return {
            **shared,
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap[listener],
            "MILLRACE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "MILLRACE_KAFKA_SASL_MECHANISM": way,
            "MILLRACE_KAFKA_SASL_USERNAME": user,
            "MILLRACE_KAFKA_SASL_PASSWORD": self.passwords[user],
        }

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.inside})

    def allow(self, grants: Iterable[Grant]) -> None:
        admin = self.admin()
        wish = [binding for grant in grants for binding in bindings(grant)]
        for future in cast("dict[AclBinding, Future[None]]", admin.create_acls(wish)).values():
            future.result(60)

    def take_away(self, grant: Grant) -> None:
        admin = self.admin()
        chosen = [_exactly(each) for each in bindings(grant)]
        for future in cast("dict[AclBindingFilter, Future[list[AclBinding]]]", admin.delete_acls(chosen)).values():
            assert future.result(60), f"{grant} was not given"

    def allowed(self, principal: str) -> frozenset[AclBinding]:
        """All that it may do."""
        admin = self.admin()
        found = cast("Future[list[AclBinding]]", admin.describe_acls(_FILTER(*_ANYTHING, principal, None, *_ANYHOW)))
        return frozenset(found.result(60))

    def add_scram_users(self) -> None:
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wish: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, how, password.encode()) for user, password in self.passwords.items()
        ]
        admin = self.admin()
        for future in cast("dict[str, Future[None]]", admin.alter_user_scram_credentials(wish)).values():
            future.result(60)


# its stub knows neither that None means any, nor what the attributes of a binding are
_FILTER: Any = AclBindingFilter
_ANYTHING = (ResourceType.ANY, None, ResourcePatternType.ANY)
_ANYHOW = (AclOperation.ANY, AclPermissionType.ANY)


def _exactly(b: AclBinding) -> AclBindingFilter:
    return _FILTER(b.restype, b.name, b.resource_pattern_type, b.principal, b.host, b.operation, b.permission_type)


def bindings(grant: Grant) -> list[AclBinding]:
    return [
        AclBinding(
            _RESOURCES[grant.resource],
            grant.name,
            _PATTERNS[grant.pattern],
            grant.principal,
            "*",
            _OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for operation in grant.operations
    ]


@contextmanager
def secured_cluster(folder: Path) -> Generator[SecuredCluster]:
    """Set up as docs/security.md says; what is added here is where things are, and the other listeners. There is a user
    for each principal of `millrace topics acls`, known by a password, over SCRAM and PLAIN, and by a certificate, and
    it may do what is printed there.
    """
    documented = _documented()
    given = grants(KafkaSettings(), PRINCIPAL_PREFIX)
    authority = Authority(folder)
    keystores = {
        "SECURE": authority.server("secure", LOOPBACK),
        "EXPIRED": authority.server("expired", LOOPBACK, expired=True),
        "ELSEWHERE": authority.server("elsewhere", "elsewhere.example"),
    }
    ports = _free_ports("CLIENT", "CONTROLLER", *_LISTENERS)
    home = folder / "kafka"
    home.mkdir()
    nodes = (NodePorts(client=ports["CLIENT"], controller=ports["CONTROLLER"]),)
    record = ClusterRecord(cluster_id=kafka_uuid(uuid4().bytes), nodes=nodes)
    (home / "cluster.json").write_text(record.model_dump_json())
    passwords = {
        user: f"canary-{user}-{uuid4().hex}" for user in {grant.principal.removeprefix("User:") for grant in given}
    }
    plain = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
    properties = {
        **documented,
        **_listeners(ports),
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.location": str(keystores["SECURE"]),
        "ssl.truststore.location": str(authority.file),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
    }
    scram = documented["listener.name.secure.scram-sha-512.sasl.jaas.config"]
    for name, keystore in keystores.items():
        listener = f"listener.name.{name.lower()}"
        properties[f"{listener}.ssl.keystore.location"] = str(keystore)
        properties[f"{listener}.scram-sha-512.sasl.jaas.config"] = scram
        properties[f"{listener}.plain.sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};"
        )
    with start_cluster(home, properties=properties) as cluster:
        bootstrap: dict[Listener, str] = {name: f"{LOOPBACK}:{ports[name]}" for name in _LISTENERS}
        secured = SecuredCluster(authority, cluster.bootstrap_servers, bootstrap, passwords)
        secured.add_scram_users()
        secured.allow(given)
        yield secured


def _documented() -> dict[str, str]:
    (block,) = re.findall(r"^```properties\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return dict(line.split("=", 1) for line in block.splitlines())


def _free_ports(*names: str) -> dict[str, int]:
    reserved = {name: reserve_port() for name in names}
    for each in reserved.values():
        each.release()
    return {name: each.port for name, each in reserved.items()}


def _listeners(ports: Mapping[str, int]) -> dict[str, str]:
    where = {name: f"{name}://{LOOPBACK}:{port}" for name, port in ports.items()}
    protocols = {"CLIENT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", "MUTUAL": "SSL"}
    return {
        "listeners": ",".join(where.values()),
        "advertised.listeners": ",".join(url for name, url in where.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{protocols.get(name, 'SASL_SSL')}" for name in ports),
    }
