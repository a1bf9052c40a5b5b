"""Actions in plain English: what may be done, what must be done, and what is only promised."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from connector.odrl.conditions import quoted
from connector.odrl.vocabulary import ANODE, action_name, short


class Phrase(NamedTuple):
    """`done` follows "the data may be", `do` follows "must", `doing` names the act by itself.

    `{}` in them stands for what in the data is meant.
    """

    done: str
    do: str
    doing: str


def _of(verb: str, done: str, doing: str, rest: str = "the data", done_rest: str = "") -> Phrase:
    return Phrase(f"{done}{done_rest}", f"{verb} {rest}".strip(), f"{doing} {rest}".strip())


PHRASES: Mapping[str, Phrase] = MappingProxyType(
    {
        "use": _of("use", "used", "using"),
        "access": _of("see", "seen in the catalog", "seeing", "the offer"),
        "transfer": _of("hand over", "handed over for good", "handing over for good"),
        "acceptTracking": _of("accept", "tracked in its use", "accepting", "that the use is tracked"),
        "aggregate": _of("aggregate", "aggregated with other data", "aggregating"),
        "annotate": _of("annotate", "annotated", "annotating"),
        "anonymize": _of("anonymise", "anonymised", "anonymising"),
        "archive": _of("archive", "archived", "archiving"),
        "attribute": _of("name", "attributed to its provider", "naming", "the provider as the source"),
        "compensate": _of("pay", "paid for", "paying", ""),
        "concurrentUse": _of("use", "used at several places at once", "using", "the data at several places"),
        "delete": _of("delete", "deleted", "deleting"),
        "derive": _of("derive", "made into other data", "deriving", "other data from the data"),
        "digitize": _of("digitise", "digitised", "digitising"),
        "display": _of("display", "displayed", "displaying"),
        "distribute": _of("share", "shared with third parties", "sharing", "the data with third parties"),
        "ensureExclusivity": _of("keep", "kept exclusive", "keeping", "the data exclusive"),
        "execute": _of("execute", "executed", "executing"),
        "extract": _of("extract", "used in parts", "extracting", "parts of the data"),
        "give": _of("give away", "given away", "giving away"),
        "grantUse": _of("let", "used by third parties", "letting", "third parties use the data"),
        "include": _of("include", "included with other data", "including", "what goes with the data"),
        "index": _of("index", "indexed", "indexing"),
        "inform": _of("inform", "reported on", "informing", "the provider"),
        "install": _of("install", "installed", "installing"),
        "modify": _of("change", "changed", "changing"),
        "move": _of("move", "moved elsewhere", "moving", "the data elsewhere"),
        "nextPolicy": _of(
            "pass on",
            "passed on under a policy that says no more",
            "passing on",
            "the data only as agreed here",
        ),
        "obtainConsent": _of("obtain", "used with consent", "obtaining", "consent"),
        "play": _of("play", "played", "playing"),
        "present": _of("present", "presented in public", "presenting", "the data in public"),
        "print": _of("print", "printed", "printing"),
        "read": _of("read", "read", "reading"),
        "reproduce": _of("copy", "copied", "copying"),
        "reviewPolicy": _of("review", "used after a review of this policy", "reviewing", "this policy"),
        "sell": _of("sell", "sold", "selling"),
        "stream": _of("stream", "streamed", "streaming"),
        "synchronize": _of("synchronise", "synchronised", "synchronising"),
        "textToSpeech": _of("read out", "read out by machines", "reading out"),
        "transform": _of("convert", "converted to other formats", "converting", "the data to other formats"),
        "translate": _of("translate", "translated", "translating"),
        "uninstall": _of("uninstall", "uninstalled", "uninstalling"),
        "watermark": _of("watermark", "watermarked", "watermarking"),
        "write": _of("write", "written to", "writing to"),
        f"{ANODE}reidentify": _of(
            "identify",
            "used to identify persons or single batteries again",
            "identifying",
            "persons or single batteries again",
        ),
        f"{ANODE}trainModel": _of("train", "used to train models", "training", "models with the data"),
        f"{ANODE}log": _of("log", "logged", "logging", "each use"),
        f"{ANODE}generalize": _of(
            "generalise", "generalised", "generalising", "the values until {} records are alike"
        ),
        f"{ANODE}project": _of("leave out", "given in part", "leaving out", "{} attributes"),
        f"{ANODE}pseudonymize": _of("replace", "pseudonymised", "replacing", "{} attributes by pseudonyms"),
    }
)
"""By the action's one name."""


def phrase(action: str) -> Phrase:
    """How an action is said; one that this node doesn't know, by the name that was written."""
    name = action_name(action)
    if name in PHRASES:
        return PHRASES[name]
    shown = quoted(short(action)[:200], always=True)
    return Phrase(f"used by {shown}", f"do {shown}", f"the action {shown}")
