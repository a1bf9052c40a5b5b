"""`anode policy …`: what it prints, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from connector.cli.app import run
from connector.resources import folder

Captured = pytest.CaptureFixture[str]
RECYCLER = """\
recycler:
  offer: {credential: RecyclerCredential}
  allow: use
  when: [{credential: RecyclerCredential}]
  stop: {after: 90 days}
  never: [distribute]
  cases:
    - {holds: RecyclerCredential, expect: allowed}
    - {holds: RecyclerCredential, after: 91 days, expect: refused, because: ended}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in a folder of its own, with one file of policies in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANODE_CONFIG", raising=False)
    (tmp_path / "p.yaml").write_text(RECYCLER)


def told(capsys: Captured, *arguments: str, code: int = 0) -> Any:
    """The one JSON document that a command prints."""
    assert run(["policy", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_check(capsys: Captured) -> None:
    """check names what is right; it ends with 2 and a line for each mistake."""
    assert run(["policy", "check", "p.yaml", str(folder("policies"))]) == 0
    assert capsys.readouterr().out.startswith("24 policies right: recycler, authority, ")
    assert told(capsys, "check", "p.yaml") == {"ok": True, "policies": ["recycler"], "cases": 2}
    Path("p.yaml").write_text(RECYCLER.replace("credential:", "credentail:").replace("90 days", "soon"))
    assert run(["policy", "check", "p.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        'anode: p.yaml:2: policy recycler: unknown audience "credentail"; did you mean "credential"?',
        "anode: p.yaml:2: policy recycler: offer: names nobody; write `to: everyone`, or "
        "`partners: [did:...]`",
        'anode: p.yaml:4: policy recycler: unknown condition "credentail"; did you mean "credential"?',
        "anode: p.yaml:5: policy recycler: after: must be a time span such as 90 days, 12 hours or 1 year",
    ]


def test_check_of_nothing_and_of_what_has_ended(capsys: Captured) -> None:
    """No policy at all is a mistake; one that is over by now is right, with a note on its line."""
    Path("none").mkdir()
    assert run(["policy", "check", "none"]) == 2
    assert "There is no policy here" in capsys.readouterr().err
    text = "\na: {offer: everyone, allow: use, stop: {on: 2001-01-01}}\nb: {offer: everyone, allow: use}\n"
    Path("p.yaml").write_text(text + "c: {offer: {when: [{until: 2001-01-01}]}, allow: use}\n")
    assert run(["policy", "check", "p.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == "3 policies right: a, b, c\n"
    assert err == "p.yaml:2: policy a: has ended\np.yaml:4: policy c: has ended\n"


def test_check_proves_the_wire_form(capsys: Captured) -> None:
    """What a peer would read otherwise, though this node reads it, is a mistake too."""
    typed = "{'@value': repair, '@type': word}"
    condition = f"{{odrl: {{leftOperand: 'odrl:purpose', operator: eq, rightOperand: {typed}}}}}"
    for block, said in (
        ("offer: everyone, allow: use, when", ""),
        ("allow: use, offer: {when", "offer: "),
    ):
        Path("p.yaml").write_text(f"p: {{{block}: [{condition}]}}{'}' if said else ''}")
        assert run(["policy", "check", "p.yaml"]) == 2
        assert capsys.readouterr().err == (
            f"anode: p.yaml:1: policy p: {said}'word' would become an address that nobody defines\n"
        )


def test_explain(capsys: Captured) -> None:
    """explain prints the sentence and the matrix; as JSON also both policies as ODRL."""
    assert run(["policy", "explain", "p.yaml"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1] == (
        "Offered to holders of a RecyclerCredential only. The data may be used where all of this "
        "holds at once: by holders of a RecyclerCredential; for 90 days from the "
        "agreement on. It must not be shared with third parties."
    )
    assert "not sharing the data with third parties  agreed, not technically enforceable" in out
    (found,) = told(capsys, "explain", "p.yaml", "-p", "recycler")
    classes = {row["term"]: row["class"] for row in found["matrix"] if row["of"] == "contract"}
    assert classes == {
        "by holders of a RecyclerCredential": "enforced",
        "for 90 days from the agreement on": "enforced",
        "not sharing the data with third parties": "agreed",
    }
    assert found["contract"]["prohibition"] == [{"action": "odrl:distribute"}]
    assert found["access"]["permission"][0]["action"] == "access"
    assert run(["policy", "explain", "p.yaml", "-p", "recycling"]) == 1
    assert "There is no policy recycling, only: recycler." in capsys.readouterr().err


def test_test(capsys: Captured) -> None:
    """test runs the cases: 0 when all come out, else 1 and a line for each that did not."""
    assert run(["policy", "test", "p.yaml"]) == 0
    assert capsys.readouterr().out == "2 of 2 cases came out as expected\n"
    Path("p.yaml").write_text(RECYCLER.replace("91 days", "89 days") + "b: {offer: everyone, allow: use}\n")
    assert run(["policy", "test", "p.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "p.yaml:9: recycler: expected refused, is allowed",
        "p.yaml:10: b: has no cases",
        "1 of 2 cases came out as expected",
    ]
    found = told(capsys, "test", "p.yaml", code=1)
    assert (found["ok"], found["without_cases"], [c["ok"] for c in found["cases"]]) == (
        False,
        ["b"],
        [True, False],
    )


def test_diff(capsys: Captured) -> None:
    """diff says who gains and who loses what, and ends with 0 whether or not something changes."""
    assert run(["policy", "diff", "p.yaml", "p.yaml"]) == 0
    assert capsys.readouterr().out == "nothing changes\n"
    Path("q.yaml").write_text(RECYCLER.replace("90 days", "30 days").replace("[distribute]", "[sell]"))
    assert run(["policy", "diff", "p.yaml", "q.yaml"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["policy", "effect", "who"],
        ["recycler", "loses", "who"],
        ["recycler", "loses", "who"],
        ["recycler", "gains", "who"],
    ]
    assert [c["effect"] for c in told(capsys, "diff", "p.yaml", "q.yaml")] == ["loses", "loses", "gains"]


def test_import(tmp_path: Path, capsys: Captured) -> None:
    """import turns what explain has written back into the file it came from; what is lost makes it fail."""
    (found,) = told(capsys, "explain", "p.yaml")
    (tmp_path / "My Policy.json").write_text(json.dumps(found["contract"]))
    (tmp_path / "access.json").write_text(json.dumps(found["access"]))
    assert run(["policy", "import", "My Policy.json", "access.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("my-policy:\n  offer:\n    credential: RecyclerCredential\n  allow: use\n")
    (tmp_path / "q.yaml").write_text(out.replace("my-policy", "recycler"))
    assert told(capsys, "diff", "p.yaml", "q.yaml") == []
    (tmp_path / "odd.json").write_text(json.dumps({**found["contract"], "weight": 3}))
    assert run(["policy", "import", "odd.json", "--id", "x"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("x:\n  allow: use\n")
    assert "not usable yet: x:1: policy x: `offer` is missing" in err
    assert err.endswith("lost: 'weight' has no meaning under the document's contexts\n")
    assert told(capsys, "import", "odd.json", code=1)["lost"] == [
        "'weight' has no meaning under the document's contexts"
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "import: name at least one JSON-LD file"),
        ("", "no.json: can't be read: No such file"),
        ("{", "x.json: The file is not JSON"),
        ("[]", "x.json: There is no ODRL policy in the document"),
        ("null", "x.json: The document must be a JSON object"),
        ('{"permission": [], "permission": []}', "x.json: The file has 'permission' more than once"),
        ("[" * 40 + "]" * 40, "x.json: The file is nested deeper than"),
    ],
)
def test_import_of_what_is_no_policy(content: str | None, reason: str, capsys: Captured) -> None:
    """A file that isn't there, isn't JSON or holds no policy is wrong usage, named with the file."""
    if content:
        Path("x.json").write_text(content)
    files = [] if content is None else ["x.json" if content else "no.json"]
    assert run(["policy", "import", *files]) == 2
    assert reason in capsys.readouterr().err


def test_import_of_a_file_with_a_byte_order_mark(tmp_path: Path, capsys: Captured) -> None:
    """Some editors put one in front; it says nothing. What is wrong is told of all files."""
    (found,) = told(capsys, "explain", "p.yaml")
    (tmp_path / "x.json").write_text("\ufeff" + json.dumps(found["contract"]), encoding="utf-8")
    assert told(capsys, "import", "x.json")["policies"] == 1
    (tmp_path / "y.json").write_text('{"action": "use"}')
    assert run(["policy", "import", "x.json", "y.json"]) == 2
    assert "x.json, y.json: It is only a rule" in capsys.readouterr().err


def test_the_policies_of_the_node(capsys: Captured) -> None:
    """Without files the commands take the policies that the node's settings name."""
    assert run(["init", "--local"]) == 0
    capsys.readouterr()
    assert told(capsys, "check")["policies"] == ["everyone-90-days"]
