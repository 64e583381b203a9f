"""A compiler that hangs, crashes, is silent or lies: each a clear failure; one that works."""

import shutil
import time
from pathlib import Path

import pytest
from edgetpu_pairs import needs_pairs, source, twin
from fake_compiler import copying, write_compiler

from tfx_loop.contracts.compiler_log import CompilerOutcome
from tfx_loop.core.errors import ChildFailed, ConfigError, ModelError
from tfx_loop.edge.edgetpu_compiler.settings import CompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain.compilation import compile_models
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler import find


@pytest.fixture
def model(tmp_path):
    """A source with an odd name; what is in it matters only to a compiler that works."""
    path = tmp_path / "- my model.tflite"
    path.write_bytes(b"not read by these compilers")
    return path


def compile_with(tmp_path, model, body, **settings):
    executable = write_compiler(tmp_path / "bin" / "edgetpu_compiler", body)
    chosen = CompilerSettings(executable=str(executable), **settings)
    models = [model] if isinstance(model, Path) else model
    return compile_models(models, tmp_path / "compiled", find(chosen), chosen)


def nothing_arrived(tmp_path):
    folder = tmp_path / "compiled"
    return not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path, model):
    marker = tmp_path / "alive"
    body = f"""
    script = "import time\\nwhile True: open({str(marker)!r}, 'a').write('.'); time.sleep(0.05)"
    subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    print("Started a compilation timeout timer of 180 seconds.", flush=True)
    time.sleep(60)
    """
    with pytest.raises(ChildFailed, match=r"no end after 1\.5 s") as failure:
        compile_with(tmp_path, model, body, timeout_seconds=1.5)
    assert failure.value.cause == "timed_out"
    assert "Started a compilation timeout timer" in failure.value.log_tail
    written = marker.stat().st_size
    time.sleep(0.3)
    assert marker.stat().st_size == written
    assert nothing_arrived(tmp_path)


@pytest.mark.parametrize(
    ("body", "signal_name"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
        ("sys.exit(139)", "SIGSEGV"),  # As the shell script around the binary reports it.
    ],
)
def test_a_crash_names_the_signal(tmp_path, model, body, signal_name):
    with pytest.raises(ChildFailed, match=f"abort by {signal_name}") as failure:
        compile_with(tmp_path, model, body)
    assert failure.value.cause == "aborted"


def test_a_compiler_that_prints_and_writes_nothing(tmp_path, model):
    with pytest.raises(ChildFailed, match=r"no model_0_edgetpu\.tflite \(it wrote nothing\)"):
        compile_with(tmp_path, model, "")


def test_a_refusal_gives_the_compiler_s_own_reason(tmp_path, model):
    body = """
    print("Invalid model: x.tflite")
    print("Model not quantized")
    sys.exit(1)
    """
    with pytest.raises(ChildFailed, match="exit code 1: Invalid model"):
        compile_with(tmp_path, model, body)


def test_exit_code_0_after_a_stated_failure_is_a_failure(tmp_path, model):
    with pytest.raises(ChildFailed, match="Compilation timeout"):
        compile_with(tmp_path, model, 'print("Compilation timeout. This is usually …")')


@pytest.mark.slow
def test_memory_is_limited(tmp_path, model):
    body = """
    held = bytearray(400_000_000)
    for i in range(0, len(held), 4096): held[i] = 1
    time.sleep(60)
    """
    with pytest.raises(ChildFailed, match="more than 200 MiB") as failure:
        compile_with(tmp_path, model, body, memory_mb=200)
    assert failure.value.cause == "out_of_memory"


def test_output_to_another_name_is_named(tmp_path, model):
    body = """
    open(os.path.join(out, "other_edgetpu.tflite"), "w").close()
    say(models[0], 3, 0)
    print("Compilation succeeded!")
    """
    with pytest.raises(ChildFailed, match=r"it wrote other_edgetpu\.tflite"):
        compile_with(tmp_path, model, body)


def test_a_link_is_not_an_output(tmp_path, model):
    body = """
    os.symlink("/etc/hostname", output_of(models[0]))
    say(models[0], 3, 0)
    """
    with pytest.raises(ChildFailed, match="no model_0_edgetpu"):
        compile_with(tmp_path, model, body)


@pytest.mark.slow
@needs_pairs
def test_megabytes_of_output_are_not_kept(tmp_path):
    body = f"""
    for i in range(60_000): print("INFO: noise", i, "x" * 80)
    {copying(twin()).strip()}
    """.replace("\n    ", "\n")
    result = compile_with(tmp_path, source(), body)
    assert result.log.outcome is CompilerOutcome.COMPILED


@pytest.mark.slow
def test_what_is_kept_of_the_output_is_its_beginning_and_its_end(tmp_path, model):
    body = """
    for i in range(60_000): print("noise", "x" * 80)
    print("Internal compiler error. Aborting!")
    sys.exit(1)
    """
    with pytest.raises(ChildFailed, match="Internal compiler error") as failure:
        compile_with(tmp_path, model, body)
    assert len(failure.value.log_tail) < 10_000


@needs_pairs
def test_a_file_cut_off_is_not_an_output(tmp_path):
    body = f"""
    open(output_of(models[0]), "wb").write(open({str(twin())!r}, "rb").read()[:30_000])
    print("Model compiled successfully in 7 ms.")
    say(models[0], 3, 0)
    """
    with pytest.raises(ChildFailed, match=r"not whole.*damaged file.*30000"):
        compile_with(tmp_path, source(), body)
    assert nothing_arrived(tmp_path)


@needs_pairs
def test_the_model_of_another_source_is_not_an_output(tmp_path):
    body = copying(twin("keras_lstm_mnist_ptq"))
    with pytest.raises(ChildFailed, match="wrote another model"):
        compile_with(tmp_path, source(), body)


@needs_pairs
def test_a_log_that_is_not_known_is_not_success(tmp_path):
    body = f"""
    shutil.copyfile({str(twin())!r}, output_of(models[0]))
    print("3 nodes placed. Have a nice day.")
    """
    with pytest.raises(ChildFailed, match="log that is not understood"):
        compile_with(tmp_path, source(), body)


@needs_pairs
@pytest.mark.parametrize("copied", ["source", "twin"])
def test_exit_code_0_with_nothing_mapped_is_a_failure(tmp_path, copied):
    """Either the file or the log tells: the source copied through, or nothing in the table."""
    body = copying(source(), 3, 0) if copied == "source" else copying(twin(), 0, 3)
    with pytest.raises(ModelError, match="none of 3 mapped"):
        compile_with(tmp_path, source(), body, min_mapped_share=0.0)


@pytest.mark.slow
@needs_pairs
def test_too_little_mapped_names_what_was_left(tmp_path):
    body = copying(twin(), mapped=8, left=2)
    with pytest.raises(ModelError, match=r"8 of 10 \(80\.0%\): 2 PACK \(Operation version"):
        compile_with(tmp_path, source(), body, min_mapped_share=0.9)
    assert nothing_arrived(tmp_path)
    assert compile_with(tmp_path, source(), body, min_mapped_share=0.8).models


@needs_pairs
def test_a_compiler_that_works(tmp_path):
    odd = tmp_path / "- my model.tflite"
    shutil.copyfile(source(), odd)
    result = compile_with(tmp_path, odd, copying(twin()))
    (compiled,) = result.models
    assert compiled.path == tmp_path / "compiled" / "- my model_edgetpu.tflite"
    assert compiled.path.read_bytes() == twin().read_bytes()
    assert (compiled.custom_ops, compiled.log.mapped_share) == (1, 1.0)
    assert result.compiler.version == "16.0.384591198"


@needs_pairs
def test_models_are_co_compiled_in_one_run(tmp_path):
    other = tmp_path / "other.tflite"
    shutil.copyfile(source(), other)
    runs = tmp_path / "runs"
    body = f"open({str(runs)!r}, 'a').write('run ')\n" + copying(twin()).replace("\n    ", "\n")
    result = compile_with(tmp_path, [source(), other], body)
    assert [c.path.name for c in result.models] == [
        "split_concat_edgetpu.tflite",
        "other_edgetpu.tflite",
    ]
    assert runs.read_text() == "run "


@needs_pairs
def test_one_of_two_that_fails_leaves_none(tmp_path):
    other = tmp_path / "other.tflite"
    shutil.copyfile(source(), other)
    body = f"""
    shutil.copyfile({str(twin())!r}, output_of(models[0]))
    print("Model compiled successfully in 7 ms.")
    say(models[0], 3, 0)
    """
    with pytest.raises(ChildFailed, match="no model_1_edgetpu"):
        compile_with(tmp_path, [source(), other], body)
    assert nothing_arrived(tmp_path)


def test_two_models_of_one_name_are_refused(tmp_path, model):
    with pytest.raises(ConfigError, match="different names"):
        compile_with(tmp_path, [model, tmp_path / "elsewhere" / model.name], "")
