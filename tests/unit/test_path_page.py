"""docs/path.md shows the table of moves as it is."""

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
