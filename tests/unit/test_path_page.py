"""docs/path.md shows the table of moves as it is: once as a table, once as a picture."""

import re

from didomi_dataverse.ledger.delivery_state import MOVES, DeliveryState, Move
from tests.repository import ROOT

PAGE = ROOT / "docs" / "path.md"


def test_the_page_shows_every_move_and_no_other() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| from |"))
    moves = [Move(cell.strip()) for cell in lines[head].split("|")[2:-1]]
    shown: dict[tuple[DeliveryState, Move], DeliveryState] = {}
    for line in lines[head + 2 : head + 2 + len(DeliveryState)]:
        state, *cells = (cell.strip().rstrip("¹²") for cell in line.split("|")[1:-1])
        shown |= {
            (DeliveryState(state), move): DeliveryState(to)
            for move, to in zip(moves, cells, strict=True)
            if to
        }
    assert shown == MOVES


def test_the_picture_shows_every_move_and_no_other() -> None:
    picture = PAGE.read_text(encoding="utf-8").split("\nstateDiagram-v2\n", 1)[1].split("\n```", 1)[0]
    first, *drawn = (line.strip() for line in picture.splitlines())
    arrows = [re.fullmatch(r"(\w+) --> (\w+): (\w+)", line) for line in drawn]

    assert first == f"[*] --> {DeliveryState.SETTLED}"
    assert len(arrows) == len(MOVES)
    assert {
        (DeliveryState(arrow[1]), Move(arrow[3])): DeliveryState(arrow[2])
        for arrow in arrows
        if arrow is not None
    } == MOVES


def test_every_module_that_the_page_names_is_there() -> None:
    package = ROOT / "src" / "didomi_dataverse"
    stages = {path.name for path in package.iterdir() if path.is_dir()}
    text = PAGE.read_text(encoding="utf-8")
    named = {
        name.rstrip("/").removesuffix(".py")
        for name in re.findall(r"\b[a-z_]+(?:/[a-z_]+)*(?:/|\.py\b)?", text)
        if name.partition("/")[0] in stages and "/" in name
    }

    assert len(named) > 40
    missing = [
        name for name in named if not ((package / name).is_dir() or (package / f"{name}.py").is_file())
    ]
    assert missing == []
