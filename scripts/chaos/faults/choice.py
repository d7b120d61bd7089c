"""The fault that was planned, made for the system it is to happen to."""

import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, get_args

from scripts.chaos.faults.brokers import BrokerFrozen, BrokerKilled, BrokerStopped
from scripts.chaos.faults.disk import BrokerDiskFull
from scripts.chaos.faults.fault import Fault
from scripts.chaos.faults.leaders import LeadersMove
from scripts.chaos.faults.network import CutOff, Disturbed
from scripts.chaos.faults.provider import Misbehaving
from scripts.chaos.faults.quota import QuotaReached
from scripts.chaos.faults.scale import FurtherWorker
from scripts.chaos.faults.signals import Ended, Frozen
from scripts.chaos.kinds import Kind, ProviderKind
from scripts.chaos.network.mode import Holding, Losing, Passing, Refusing
from scripts.chaos.schedule import BROKERS, Planned
from scripts.chaos.system import System

_LONGEST_DELAY_S = 1.5


def fault_of(planned: Planned, system: System) -> Fault:
    makers = MAKERS_OF_BROKERS if planned.lane == "brokers" and planned.part == "broker" else MAKERS
    return makers[planned.kind](planned, system)


def _number(planned: Planned) -> int:
    return int(planned.target.rpartition("-")[2])


def _two(planned: Planned) -> list[int]:
    return [_number(planned), (_number(planned) + 1) % BROKERS]


def _delayed(planned: Planned, system: System) -> Fault:
    # Squared: most delays are short, and some are longer than a heartbeat.
    return Disturbed(system, planned.target, Passing(0.02 + planned.strength**2 * _LONGEST_DELAY_S))


def _misbehaving(planned: Planned, system: System) -> Fault:
    kind = planned.kind.removeprefix("provider-")
    return Misbehaving(system, kind, rate=0.3 + 0.7 * planned.strength, delay_s=2 + 8 * planned.strength)


_Maker = Callable[[Planned, System], Fault]
MAKERS_OF_BROKERS: Final[Mapping[Kind, _Maker]] = MappingProxyType(
    {
        "kill": lambda planned, system: BrokerKilled(system, [_number(planned)]),
        "term": lambda planned, system: BrokerStopped(system, [_number(planned)]),
        "freeze": lambda planned, system: BrokerFrozen(system, [_number(planned)]),
        "disk": lambda planned, system: BrokerDiskFull(system, [_number(planned)]),
        "two-brokers": lambda planned, system: BrokerKilled(system, _two(planned)),
        "leaders": lambda _planned, system: LeadersMove(system),
    }
)
MAKERS: Final[Mapping[Kind, _Maker]] = MappingProxyType(
    {
        "kill": lambda planned, system: Ended(system, planned.target, signal.SIGKILL),
        "term": lambda planned, system: Ended(system, planned.target, signal.SIGTERM),
        "freeze": lambda planned, system: Frozen(system, planned.target),
        "disk": lambda planned, system: QuotaReached(system, planned.target),
        "scale": lambda planned, system: FurtherWorker(system, planned.part, planned.target),
        "cut": lambda planned, system: CutOff(system, planned.target),
        "drop": lambda planned, system: Disturbed(system, planned.target, Losing()),
        "stall": lambda planned, system: Disturbed(system, planned.target, Holding()),
        "delay": _delayed,
        "refuse": lambda planned, system: Disturbed(system, planned.target, Refusing()),
        **dict.fromkeys(get_args(ProviderKind), _misbehaving),
    }
)
