"""The simulated operation's documents: schema, catalogue, candidates, transforms, policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opspilot.demo.simulate_world import BY_STAGE

Json = dict[str, Any]

_TASK_FIELDS: Final = (
    ("id", "string", "none", "case and step"),
    ("client", "string", "none", "whose customer writes"),
    ("plan", "string", "none", "basic or plus"),
    ("operator", "string", "pseudonymous", "who acts"),
    ("channel", "string", "none", "mail, chat or form"),
    ("hour", "int", "none", "hour of the day"),
    ("step", "int", "none", "acts in this case so far"),
    ("text", "string", "personal", "the message that waits"),
    ("opening", "string", "personal", "the message that opened the case"),
    ("amount", "double", "none", "value of the order"),
    ("days", "int", "none", "since the order"),
    ("flagged", "bool", "none", "fraud screening raised a flag"),
    ("verified", "bool", "none", "the customer is identified"),
    ("order_known", "bool", "none", "it is known which order it is about"),
    ("solved", "bool", "none", "the customer got what was wanted"),
    ("repeats", "int", "none", "times the customer came back unsatisfied"),
    ("previous_action", "string", "none", "last act, <start> before the first"),
    ("previous_action_2", "string", "none", "the act before"),
    ("history", "list<string>", "none", "all acts, oldest first"),
    ("waiting_since", "timestamp", "none", "when the message came in"),
)
_UNITS: Final = {"amount": "EUR", "days": "days", "step": "acts"}
_TEMPLATES: Final[Mapping[str, str]] = {
    "ask_identity": "may i have your customer number",
    "ask_details": "could you tell me more",
    "ask_order": "which order is it about",
    "ask_photo": "please send a photo of the item",
    "refund_full": "you get your money back",
    "refund_half": "we refund half of the price",
    "offer_voucher": "we offer you a voucher",
    "track_parcel": "here is where your parcel is",
    "contact_carrier": "we ask the carrier about the delivery",
    "resend_parcel": "we send the parcel again",
    "explain_invoice": "this is how the invoice came about",
    "correct_invoice": "we correct the invoice and the amount charged",
    "send_invoice": "here is a copy of your invoice",
    "reset_password": "here is a link for a new password",
    "unlock_account": "your account is open again you can log in",
    "cancel_contract": "your contract is cancelled",
    "offer_discount": "we offer you a discount if you stay",
    "change_address": "we changed your address",
    "block_account": "we blocked your account for your safety",
    "hand_to_desk": "our fraud desk looks into it",
    "apologise": "we are sorry",
    "callback": "somebody will call you",
    "ask_satisfied": "is everything fine now",
    "close_case": "goodbye",
}
_IRREVERSIBLE: Final = ("cancel_contract", "refund_full", "refund_half", "correct_invoice")
_KINDS: Final = {"refund": "refund", "offer": "offer", "ask": "ask", "cancel": "contract", "block": "account"}
_REFUND_CAP: Final = 250


def schema() -> Json:
    """schema.json; no fields exist for a pair alone."""
    task = []
    for name, kind, pii, text in _TASK_FIELDS:
        entry: Json = {"name": name, "type": kind, "description": text}
        if pii != "none":
            entry["pii"] = pii
        if name in _UNITS:
            entry["unit"] = _UNITS[name]
        task.append(entry)
    action = [
        {"name": "kind", "type": "string", "description": "what it does: refund, offer, ask, contract, account or reply"},
        {"name": "stage", "type": "string", "description": "where in a case it comes up"},
        {"name": "role", "type": "string", "description": "first word of its id"},
        {"name": "plans", "type": "list<string>", "description": "plans of clients for whose customers it is offered"},
        {"name": "template", "type": "string", "description": "what the customer reads"},
        {"name": "needs_identity", "type": "bool", "description": "not before the customer is identified"},
        {"name": "reversible", "type": "bool", "description": "it can be taken back"},
    ]
    return {"task": task, "action": action, "candidate": []}


def catalogue() -> list[Json]:
    """catalogue.json: every action of every stage."""
    out = []
    for stage, actions in BY_STAGE.items():
        for action in actions:
            first = action.partition("_")[0]
            out.append(
                {
                    "id": action,
                    "kind": _KINDS.get(first, "reply"),
                    "stage": stage,
                    "role": first,
                    "plans": ["plus"] if action == "offer_discount" else ["basic", "plus"],
                    "template": _TEMPLATES[action],
                    "needs_identity": first in {"refund", "correct", "reset", "unlock", "cancel", "change", "block"},
                    "reversible": action not in _IRREVERSIBLE,
                }
            )
    return out


def candidates() -> Json:
    """candidates.json: what the client's plan includes."""
    return {"generators": [{"kind": "match", "task": "task.plan", "action": "action.plans"}], "limit": 100}


_LAST: Final = "task.previous_action"
_AMOUNT: Final = {"input": "task.amount", "edges": [20, 60, 80, 90, 150, 250]}
_DAYS: Final = {"input": "task.days", "edges": [8, 15, 22, 31, 61]}
_REPEATS: Final = {"input": "task.repeats", "edges": [1, 2]}
_CONTEXT: Final[tuple[tuple[Any, ...], ...]] = (
    ("task.client",),
    (_LAST,),
    (_LAST, "task.previous_action_2"),
    ("task.client", _LAST),
    ("task.verified", "task.order_known", "task.solved"),
    ("task.verified", "task.order_known", "task.solved", _LAST),
    ("task.flagged",),
    (_AMOUNT,),
    ("task.client", _DAYS),
    (_DAYS, _LAST),
    (_REPEATS, _LAST),
    ("task.operator",),
    ("task.history",),
)


def features() -> Json:
    """features.json, not fitted: two sparse blocks for the linear models, dense columns for the trees."""
    context = [_source(parts) for parts in _CONTEXT]
    opening, text = _words("opening", 2), _words("text", 2)
    state = "task.solved"
    words = [
        _text("opening", opening),
        _text("text", text),
        _text("last x opening", _LAST, _words("opening")),
        _text("solved x opening", state, _words("opening")),
        _text("days x opening", _DAYS, _words("opening")),
    ]
    transforms: list[Json] = [
        {"name": "context", "op": "text_hash", "bits": 14, "sources": context},
        {"name": "words", "op": "text_hash", "bits": 16, "min_count": 2, "sources": words},
    ]
    for name, parts in (("last", [_LAST, state]), ("client", ["task.client", _LAST]), ("operator", ["task.operator", _LAST])):
        shared = {"op": "transition", "context": parts, "smoothing": 2, "min_count": 3}
        transforms.append({"name": f"habit.{name}", **shared, "value": "probability"})
    for name in ("step", "amount", "days", "repeats", "hour", "verified", "order_known", "solved", "flagged"):
        transforms.append({"name": name, "op": "number", "input": f"task.{name}"})
    template = {"input": "action.template", "kind": "words"}
    transforms += [
        {"name": "waiting", "op": "age", "input": "task.waiting_since"},
        {"name": "times", "op": "count_in_history", "history": "task.history"},
        {"name": "opening_template", "op": "overlap", "a": _words("opening"), "b": template, "measure": "jaccard"},
        {"name": "text_template", "op": "overlap", "a": _words("text"), "b": template, "measure": "jaccard"},
        {"name": "client", "op": "dictionary", "input": "task.client"},
        {"name": "kind", "op": "dictionary", "input": "action.kind"},
        {"name": "action", "op": "dictionary", "input": "action.id"},
    ]
    return {"version": 1, "transforms": transforms}


def compliance() -> Json:
    """The layer that no other may widen."""
    quiet = {"flagged": False, "amount": 50.0, "verified": True, "order_known": True, "solved": False, "repeats": 0, "step": 2}
    refund = {"id": "refund_full", "kind": "refund", "stage": "solve", "reversible": False, "needs_identity": True}
    close = {"id": "close_case", "kind": "reply", "stage": "close", "reversible": True, "needs_identity": False}
    rules = [
        {
            "id": "fraud-to-desk",
            "when": "task.flagged",
            "effect": "escalate",
            "queue": "fraud-desk",
            "locked": True,
            "because": "What the fraud screening flags always goes to a person.",
        },
        {
            "id": "large-refund-approved",
            "when": f"action.kind == 'refund' && task.amount > {_REFUND_CAP}.0",
            "effect": "require_approval",
            "locked": True,
            "because": f"Refunds above {_REFUND_CAP} EUR are approved by a person.",
        },
        {
            "id": "hard-to-undo-approved",
            "when": "action.id in ['cancel_contract', 'change_address']",
            "effect": "require_approval",
            "because": "A contract cancelled or an address changed by mistake or for a thief is hard to undo; a person "
            "approves it.",
        },
    ]
    tests = [
        {
            "task": quiet | {"flagged": True},
            "candidate": close,
            "expect": {"verdict": "escalate", "rule": "fraud-to-desk", "queue": "fraud-desk"},
        },
        {"task": quiet, "candidate": refund, "expect": {"verdict": "auto_execute"}},
        {
            "task": quiet | {"amount": 300.0},
            "candidate": refund,
            "expect": {"verdict": "require_approval", "rule": "large-refund-approved"},
        },
        {
            "task": quiet,
            "candidate": {**refund, "id": "cancel_contract", "kind": "contract"},
            "expect": {"verdict": "require_approval", "rule": "hard-to-undo-approved"},
        },
    ]
    return {
        "layer": "compliance",
        "version": "1",
        "rules": rules,
        "invariants": [{"id": "never-auto-flagged", "when": "task.flagged", "never": "auto_execute"}],
        "tests": tests,
    }


def business() -> Json:
    """How the operation wants it."""
    quiet = {"flagged": False, "verified": True, "order_known": True, "solved": False, "repeats": 0, "step": 2}
    reset = {"id": "reset_password", "kind": "reply", "stage": "solve", "reversible": True, "needs_identity": True}
    rules = [
        {
            "id": "identity-first",
            "when": "action.needs_identity && !task.verified",
            "effect": "forbid",
            "because": "Accounts and money are touched only once the customer is identified.",
        },
        {
            "id": "unsatisfied-to-person",
            "when": "task.repeats >= 2",
            "effect": "suggest_only",
            "because": "A customer who came back twice unsatisfied gets a person; the machine only suggests.",
        },
        {
            "id": "reversible-first",
            "when": "action.reversible",
            "effect": "boost",
            "by": 0.05,
            "because": "Of two equal actions, the one that can be taken back.",
        },
    ]
    tests = [
        {"task": quiet | {"verified": False}, "candidate": reset, "expect": {"allowed": False, "rule": "identity-first"}},
        {"task": quiet, "candidate": reset, "expect": {"allowed": True, "verdict": "auto_execute"}},
        {"task": quiet | {"repeats": 2}, "candidate": reset, "expect": {"verdict": "suggest", "rule": "unsatisfied-to-person"}},
        {"task": quiet, "candidate": reset, "expect": {"boost": 0.05, "rule": "reversible-first"}},
    ]
    return {"layer": "business", "version": "1", "rules": rules, "tests": tests}


def baseline() -> Json:
    """The stages and the templates' first words alone: what ranks when the models are unavailable, and the rival."""
    keywords = {
        "refund": "refund_full",
        "money": "refund_full",
        "parcel": "track_parcel",
        "delivery": "track_parcel",
        "invoice": "explain_invoice",
        "password": "reset_password",
        "cancel": "cancel_contract",
        "address": "change_address",
        "card": "block_account",
        "complain": "apologise",
    }
    scores = [
        ("close-when-solved", "task.solved && action.id == 'close_case'", 8.0),
        ("identify", "!task.verified && action.id == 'ask_identity'", 5.0),
        ("order", "task.verified && !task.order_known && action.id == 'ask_order'", 3.0),
        *(
            (f"word-{word}", f"!task.solved && task.verified && action.id == '{action}' && task.opening.contains('{word}')", 4.0)
            for word, action in keywords.items()
        ),
    ]
    rules = [
        {"id": name, "when": when, "effect": "boost", "by": by, "because": "By the book of the operation."}
        for name, when, by in scores
    ]
    return {"layer": "business", "version": "1", "rules": rules}


def _source(parts: tuple[Any, ...]) -> Json:
    name = " x ".join(part if isinstance(part, str) else part["input"] for part in parts)
    return {"name": f"{name} {len(parts)}", "tokens": list(parts), "tf": "binary"}


def _words(field: str, most: int = 1) -> Json:
    return {"input": f"task.{field}", "kind": "words", "ngrams": [1, most]}


def _text(name: str, *parts: Any) -> Json:
    return {"name": name, "tokens": list(parts), "tf": "log", "idf": True, "norm": "l2"}
