"""The table over seeds, from results that are there."""

import json

from tests.benchmarks.seeds.__main__ import main, summary_file


def test_results_that_are_there_are_not_run_again(tmp_path, capsys) -> None:
    for seed, gain in ((3, 0.98), (4, 0.6)):
        path = summary_file(tmp_path, seed)
        path.parent.mkdir()
        summary = {
            "gain_recovered": {"log_loss": gain, "auc": None},
            "trainings": {"loop": 2, "every_window": 9},
            "windows": [
                {"window": "2013-04", "verdict": "HOLD"},
                {"window": "2013-05", "verdict": "RETRAIN"},
            ],
        }
        path.write_text(json.dumps(summary))
    main(["--first", "3", "--seeds", "2", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "| 3 | 98% | - | 2 | 9 | 2013-05 RETRAIN |" in printed
    assert "median 79% (to reach: 95%), worst 60% (70%). Trainings: 4 against 18" in printed
