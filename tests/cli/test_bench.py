from __future__ import annotations

import json

from click.testing import CliRunner

from hami_core.cli.bench import bench


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(bench, ["fit", "--no-elsewhere", "--samples", "3", "--fill", "5", *arguments])
    return result.exit_code, result.output


def test_the_report_says_what_fits_at_half_full_and_how_long_everything_took() -> None:
    code, text = run("--nodes", "4", "--devices", "8", "--pods", "80", "-o", "json")
    report = json.loads(text)
    assert code == 0
    fits = {(decision["workload"], decision["policy"]): decision["fits"] for decision in report["decisions"]}
    assert fits == {(work, policy): work != "C" for work in "ABC" for policy in ("binpack", "spread")}
    assert report["decisions"][0]["fresh"]["n"] == 3
    assert report["decisions"][0]["fresh"]["p50_us"] > 0
    assert report["yardstick"]["p50_us"] > 0
    assert report["peak_rss_mib"] > 0


def test_the_table_has_a_line_for_everything_measured() -> None:
    code, text = run("--nodes", "2", "--pods", "0", "--policy", "spread")
    assert code == 0
    for line in (
        "decide A spread fresh",
        "decide C spread named",
        "add pod",
        "remove pod",
        "yardstick",
        "PROMISED",
        "fill 1,000 nodes",
    ):
        assert line in text


def test_a_fleet_of_another_size_has_figures_without_limits() -> None:
    _code, text = run("--nodes", "4", "--pods", "8", "-o", "json")
    assert {target["holds"] for target in json.loads(text)["targets"]} == {None}


def test_more_pods_than_the_fleet_can_hold_are_refused() -> None:
    code, text = run("--nodes", "1", "--devices", "1", "--pods", "6")
    assert code == 2
    assert "1 nodes of 1 cards hold at most 5" in text
