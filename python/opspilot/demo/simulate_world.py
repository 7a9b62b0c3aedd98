"""Who and what the simulated operation consists of: clients, operators, intents with what is right for them, a drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(slots=True)
class Facts:
    """What is known of a case; the operator and the model see it, too."""

    plan: str
    generous: bool
    amount: float
    days: int
    flagged: bool = False
    verified: bool = False
    order_known: bool = False
    solved: bool = False
    repeats: int = 0

    def stage(self, needs: tuple[str, ...]) -> str:
        """identify, order, solve or close: what has to come next."""
        if self.solved:
            return "close"
        if "identity" in needs and not self.verified:
            return "identify"
        return "order" if "order" in needs and not self.order_known else "solve"


Solve = Callable[[Facts], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Client:
    """A company whose customers write. ``volume``: cases a day; ``mix``: factors on how frequent intents are."""

    name: str
    volume: float
    plan: str
    generous: bool = False
    mix: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operator:
    """Works from one hour to another (past midnight if need be), errs and writes texts of his own now and then."""

    name: str
    error_rate: float
    override_rate: float
    shift: tuple[int, int]

    def works_at(self, hour: int) -> bool:
        first, last = self.shift
        return first <= hour < last if first < last else hour >= first or hour < last


@dataclass(frozen=True, slots=True)
class Intent:
    """What a customer wants. ``solve``: the actions that are right once the needs are met, with their probability."""

    name: str
    weight: float
    needs: tuple[str, ...]
    phrases: tuple[str, ...]
    solve: Solve


@dataclass(frozen=True, slots=True)
class Drift:
    """From this day on, other actions are right for an intent."""

    day: float
    intent: str
    solve: Solve


def _refund(facts: Facts) -> Mapping[str, float]:
    if facts.days <= (30 if facts.generous else 14):
        return {"refund_full": 0.97, "refund_half": 0.02}
    if facts.days <= 60:
        return {"refund_half": 0.86, "offer_voucher": 0.1}
    return {"offer_voucher": 0.93, "refund_half": 0.04}


def _refund_after_drift(facts: Facts) -> Mapping[str, float]:
    """The clients' new rule: vouchers instead of refunds above 60."""
    if facts.amount > 60:
        return {"offer_voucher": 0.88, "refund_full": 0.08}
    return _refund(facts)


def _late(facts: Facts) -> Mapping[str, float]:
    if facts.days <= 7:
        return {"track_parcel": 0.95, "apologise": 0.03}
    if facts.days <= 21:
        return {"contact_carrier": 0.9, "track_parcel": 0.06}
    return {"resend_parcel": 0.7, "refund_full": 0.25} if facts.amount < 80 else {"refund_full": 0.75, "resend_parcel": 0.2}


def _invoice(facts: Facts) -> Mapping[str, float]:
    return (
        {"correct_invoice": 0.62, "explain_invoice": 0.34}
        if facts.amount > 90
        else {"explain_invoice": 0.9, "send_invoice": 0.07}
    )


def _login(facts: Facts) -> Mapping[str, float]:
    return {"reset_password": 0.97, "unlock_account": 0.02} if facts.repeats == 0 else {"unlock_account": 0.9, "callback": 0.06}


def _cancel(facts: Facts) -> Mapping[str, float]:
    return {"offer_discount": 0.74, "cancel_contract": 0.22} if facts.plan == "plus" else {"cancel_contract": 0.98}


def _address(_: Facts) -> Mapping[str, float]:
    return {"change_address": 0.985}


def _fraud(facts: Facts) -> Mapping[str, float]:
    return {"block_account": 0.6, "hand_to_desk": 0.37} if facts.flagged else {"hand_to_desk": 0.8, "block_account": 0.15}


def _complaint(facts: Facts) -> Mapping[str, float]:
    return {"callback": 0.5, "offer_voucher": 0.35} if facts.plan == "plus" else {"apologise": 0.55, "offer_voucher": 0.33}


INTENTS: Final = (
    Intent(
        "refund",
        3.0,
        ("identity", "order"),
        (
            "i want my money back",
            "please refund my order",
            "how do i get a refund",
            "i sent it back where is my money",
            "refund for this item",
        ),
        _refund,
    ),
    Intent(
        "late_parcel",
        3.0,
        ("order",),
        (
            "my parcel has not arrived",
            "where is my package",
            "the delivery is late",
            "tracking has not moved",
            "still waiting for the parcel",
        ),
        _late,
    ),
    Intent(
        "invoice",
        2.0,
        ("identity",),
        (
            "my invoice is wrong",
            "why was i charged twice",
            "a question about my bill",
            "the amount on the invoice is too high",
            "send the bill",
        ),
        _invoice,
    ),
    Intent(
        "login",
        2.0,
        ("identity",),
        (
            "i cannot log in",
            "my password does not work",
            "i am locked out of my account",
            "the login page shows an error",
            "forgot my password",
        ),
        _login,
    ),
    Intent(
        "cancel",
        1.2,
        ("identity",),
        (
            "please cancel my contract",
            "i want to end my subscription",
            "how can i cancel",
            "stop the membership",
            "i would like to quit",
        ),
        _cancel,
    ),
    Intent(
        "address",
        1.0,
        ("identity",),
        ("i have moved", "please change my address", "new delivery address", "my street has changed", "update where you send it"),
        _address,
    ),
    Intent(
        "fraud",
        0.5,
        ("identity",),
        ("i did not make this purchase", "someone used my card", "there is an order i never placed", "my account was hacked"),
        _fraud,
    ),
    Intent(
        "complaint",
        1.0,
        (),
        (
            "your service is terrible",
            "i am very disappointed",
            "nobody answers me",
            "i want to complain",
            "this is the third time it fails",
        ),
        _complaint,
    ),
)
VAGUE: Final = (
    "i need help",
    "i have a question about my order",
    "it does not work",
    "can somebody help me with my account",
    "a problem",
)

CLIENTS: Final = (
    Client("northwind", 120.0, "plus", generous=True, mix={"refund": 1.4}),
    Client("bluebell", 70.0, "basic", mix={"late_parcel": 1.6}),
    Client("harbour", 40.0, "basic", generous=True, mix={"invoice": 2.0, "late_parcel": 0.3}),
    Client("lumen", 20.0, "plus", mix={"login": 2.0, "cancel": 1.5}),
    Client("pebble", 6.0, "basic"),
)
OPERATORS: Final = (
    Operator("o1", 0.004, 0.005, (6, 14)),
    Operator("o2", 0.008, 0.01, (6, 14)),
    Operator("o3", 0.01, 0.005, (9, 17)),
    Operator("o4", 0.005, 0.015, (13, 22)),
    Operator("o5", 0.02, 0.01, (14, 22)),
    Operator("o6", 0.03, 0.03, (22, 6)),
)
#: How busy the hours of a day are.
HOURS: Final = (
    *(0.15, 0.1, 0.1, 0.1, 0.15, 0.3, 0.6, 1.0, 1.5, 1.9, 2.0, 1.9),
    *(1.6, 1.7, 1.8, 1.7, 1.5, 1.4, 1.3, 1.2, 1.0, 0.7, 0.4, 0.25),
)
DRIFT: Final = Drift(50.0, "refund", _refund_after_drift)

#: Actions by the stage in which they come up.
BY_STAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "identify": ("ask_identity", "ask_details"),
    "order": ("ask_order", "ask_photo"),
    "solve": (
        *("refund_full", "refund_half", "offer_voucher", "track_parcel", "contact_carrier", "resend_parcel"),
        *("explain_invoice", "correct_invoice", "send_invoice", "reset_password", "unlock_account", "cancel_contract"),
        *("offer_discount", "change_address", "block_account", "hand_to_desk", "apologise", "callback"),
    ),
    "close": ("close_case", "ask_satisfied"),
}
