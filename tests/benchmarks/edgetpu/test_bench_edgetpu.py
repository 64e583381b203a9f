"""The benchmark itself: the truth of a pair, and how a guess is scored."""

from pathlib import Path

import pytest
from tflite_builder import TfliteBuilder

from tests.benchmarks.edgetpu.__main__ import main, score
from tests.benchmarks.edgetpu.pairs import family_of, load_pairs
from tests.benchmarks.edgetpu.predictors import PREDICTORS
from tfx_loop.contracts.edgetpu_report import MappingStatus

SHAPE = [1, 4]


def write(path: Path, *operators: tuple[str, str]) -> None:
    """Writes a chain of operators, each with the name of its output."""
    builder = TfliteBuilder()
    tensor = builder.input(SHAPE)
    for op, name in operators:
        tensor = builder.op(op, [tensor], builder.tensor(SHAPE, name=name))
    path.write_bytes(builder.content(tensor))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "a.tflite", ("RELU", "one"), ("ELU", "two"), ("RELU", "three"))
    write(
        tmp_path / "a_edgetpu.tflite",
        ("edgetpu-custom-op", "one"),
        ("ELU", "two"),
        ("RELU", "three"),
    )
    write(tmp_path / "alone.tflite", ("RELU", "one"))
    return tmp_path


def test_an_operator_was_left_when_its_output_survives(folder: Path) -> None:
    (pair,) = load_pairs(folder)
    assert pair.name == "a"
    assert pair.left == (False, True, True)


def test_scores(folder: Path) -> None:
    pairs = load_pairs(folder)
    said = {name: score(pairs, [say(pair) for pair in pairs]) for name, say in PREDICTORS.items()}
    assert (said["all mapped"].agreed, said["all mapped"].falsely_mapped) == (1, 2)
    assert said["8-bit check"].falsely_mapped == 2
    assert (said["table of operations"].agreed, said["table of operations"].left_found) == (2, 1)
    assert said["analyser"].exact_models == 1
    uncertain = score(
        pairs, [[MappingStatus.MAPPED, MappingStatus.UNKNOWN, MappingStatus.NOT_MAPPED]]
    )
    assert (uncertain.agreed, uncertain.unknown, uncertain.left_found) == (2, 1, 1)
    assert uncertain.falsely_mapped == uncertain.exact_models == 0


def test_families() -> None:
    assert family_of("mobilenet_v1_0.25_128_quant") == "mobilenet"
    assert family_of("ssd_mobilenet_v2_coco_quant_postprocess") == "ssd"
    assert family_of("bodypix_x") == family_of("posenet_y") == "posenet"
    assert family_of("yamnet") == "yamnet"


def test_a_folder_without_pairs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "no compiled twins" in capsys.readouterr().err
