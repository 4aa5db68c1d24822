"""What gpu.py has found, as tables, and which of the goals are reached."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from results_file import print_table


@dataclass(frozen=True)
class Goal:
    """The most seconds that a thing may take on an H200, and how many times as long the peer's way is to take."""

    what: str
    seconds: float
    times: float = 5.0


GOALS = (
    Goal("an identity at 320 steps", 10.0),
    Goal("an identity at 25 steps", 0.8),
    Goal("a picture at 50 steps", 0.18),
)


def reached(facts: dict[str, Any], goals: tuple[Goal, ...]) -> list[dict[str, Any]]:
    """Each goal with what was found; the peer's figure is its better one."""
    ours, peers = _best(facts["learning"], facts["drawing"]), _best(facts["peer"]["learning"], facts["peer"]["drawing"])
    rows = []
    for goal in goals:
        mine, theirs = ours.get(goal.what), peers.get(goal.what)
        ratio = theirs / mine if mine and theirs else None
        rows.append(
            {
                **asdict(goal),
                "found": mine,
                "peer": theirs,
                "ratio": ratio,
                "reached": bool(mine and mine <= goal.seconds and ratio and ratio >= goal.times),
            }
        )
    return rows


def _best(learning: list[dict[str, Any]] | None, drawing: list[dict[str, Any]] | None) -> dict[str, float]:
    """The shortest seconds of what was measured, by the names of the goals."""
    found: dict[str, list[float]] = {}
    for row in learning or []:
        for steps in (320, 25):
            found.setdefault(f"an identity at {steps} steps", []).append(row[f"seconds_at_{steps}_steps"])
    for row in drawing or []:
        found.setdefault(f"a picture at {row['steps']} steps", []).append(row["seconds_a_picture"])
    return {what: min(seconds) for what, seconds in found.items()}


def print_report(facts: dict[str, Any]) -> None:
    """Everything as tables."""
    where = f"{facts['gpu'] or facts['processor']}, {facts['dtype']}, {facts['model']}"
    if facts["unet"]:
        _print_unet(facts["unet"], where)
    print_table(
        "learning, 8 samples an identity and step; whole identities extrapolated",
        ["", "s a step of one", "s at 320 steps", "s at 25 steps", "peak GiB"],
        [_learned(f"{row['identities']} at once{_compiled(row)}", row) for row in facts["learning"]]
        + [_learned(f"peer, {row['precision']}", row) for row in facts["peer"]["learning"]],
    )
    print_table(
        "drawing, with guidance, decoding and saving",
        ["", "denoising steps", "s a picture", "pictures a s", "peak GiB"],
        [_drawn(f"{row['together']} at once{_compiled(row)}", row) for row in facts["drawing"]]
        + [_drawn(f"peer, {row['pictures']} a call", row) for row in facts["peer"]["drawing"] or []],
    )
    if finishing := facts["finishing"]:
        alone = (f"{1e3 * finishing[f'{what}_seconds']:.1f} ms to {what[:-3]}e" for what in ("decoding", "encoding"))
        print(f"a picture alone: {', '.join(alone)} (one thread)")
    for row in facts["learning"]:
        if "repeats_exactly" in row:
            print(f"learning {row['identities']} again: {'the same' if row['repeats_exactly'] else 'OTHER'} bits")
    for row in facts["compiling"]:
        error = row["gradient_error"]
        off = "" if error is None else f"; its gradient is {error:.2g} off"
        print(f"compiling for {row['work']}, cache {row['cache']}: {row['seconds']:.1f} s{off}")
    for goal in facts["goals"]:
        found = "not measured" if goal["found"] is None else f"{goal['found']:.3g} s"
        ratio = "" if goal["ratio"] is None else f", {goal['ratio']:.1f} times as fast as the peer's way"
        verdict = "reached" if goal["reached"] else "missed"
        print(f"{goal['what']}: {found}{ratio}; {verdict} ({goal['seconds']:g} s and {goal['times']:g} times)")
    if facts["left_out"]:
        print(f"left out: {', '.join(facts['left_out'])}")


def _print_unet(unet: dict[str, Any], where: str) -> None:
    print_table(
        f"U-Net, {where}",
        ["", "work", "samples", "ms", "TFLOP/s", "of matrix speed", "peak GiB"],
        [_speed(row) for row in unet["speeds"]],
        f"{unet['tflop_a_sample']:.4f} TFLOP a sample forward; large matrices: {unet['matrix_tflops']:.3g} TFLOP/s",
    )


def _speed(row: dict[str, Any]) -> list[str]:
    start = [row["variant"], row["work"], str(row["samples"])]
    if row["problem"]:
        return [*start, row["problem"], "", "", ""]
    figures = [f"{1e3 * row['seconds']:.1f}", f"{row['tflops']:.3g}", f"{row['of_floor']:.0%}"]
    return [*start, *figures, f"{row['peak_gib']:.1f}"]


def _compiled(row: dict[str, Any]) -> str:
    return ", compiled" if row["compiled"] else ""


def _learned(name: str, row: dict[str, Any]) -> list[str]:
    seconds = [row["step_seconds"], row["seconds_at_320_steps"], row["seconds_at_25_steps"]]
    return [name, *(f"{number:.3g}" for number in seconds), f"{row['peak_gib']:.1f}"]


def _drawn(name: str, row: dict[str, Any]) -> list[str]:
    seconds = row["seconds_a_picture"]
    return [name, str(row["steps"]), f"{seconds:.3g}", f"{1 / seconds:.3g}", f"{row['peak_gib']:.1f}"]
