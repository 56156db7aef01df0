"""Several ranks give what one process gives; a run that is killed or fills the disk goes on."""

import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning", reason="the extra 'training' is not installed")

from spectok.training import fit

pytestmark = pytest.mark.slow  # every process of a rank imports torch and trains
WORKER = Path(__file__).with_name("ranks_worker.py")
spec = importlib.util.spec_from_file_location("ranks_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

needs_gloo = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch comes without gloo",
)


def start(*command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder that two ranks wrote to, and what each of them says."""
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")
    process = start(*torchrun, WORKER, "ranks", folder)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return folder, [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def apart(a, b):
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def files_in(folder):
    """Where it is installed, TensorBoard has a folder too."""
    return {f.name for f in folder.iterdir()} - {"tensorboard"}


def distance(a, b):
    return float((a - b).norm() / b.norm())


@needs_gloo
def test_two_ranks_give_the_gradient_of_one_process(two, tmp_path):
    """Twice two batches are four: masks of any share, and weights, count as in one sum."""
    _, (first, second) = two
    gradients, weights, average = worker.gradients_of_fit(
        worker.new_model(), tmp_path, steps=3, accumulate=4
    )
    assert len(gradients) == len(first["whole"][0]) == 3
    assert apart(first["whole"][0][0], gradients[0]) < 2e-6
    for ours, theirs in zip(first["whole"][0], gradients, strict=True):
        assert distance(ours, theirs) < 1e-4
    # Muon multiplies in bfloat16, which makes more of the last bits.
    assert distance(first["whole"][1], weights) < 1e-4
    assert distance(first["whole"][2], average) < 1e-4
    for ours, theirs in zip(first["whole"][1:], second["whole"][1:], strict=True):
        assert torch.equal(ours, theirs), "the ranks went different ways"


@needs_gloo
def test_masks_are_uneven_enough_for_a_mean_of_means_to_differ():
    batches = worker.batches_of()
    count = [float((b.weight * b.target.valid).sum()) for b in map(batches.__getitem__, range(4))]
    assert max(count) > 1.3 * min(count)


@needs_gloo
def test_the_first_rank_writes(two):
    folder, (first, second) = two
    lines = (folder / "whole" / "log.csv").read_text().splitlines()
    assert len(lines) == 2 and lines[0].startswith("step,") and lines[1].startswith("3,")
    assert files_in(folder / "whole") == {"checkpoint.pt", "log.csv"}


@needs_gloo
def test_the_logged_loss_is_that_of_all_ranks(two, tmp_path):
    folder, _ = two
    worker.gradients_of_fit(worker.new_model(), tmp_path, steps=3, accumulate=4)
    ours, theirs = (
        float((f / "log.csv").read_text().splitlines()[1].split(",")[3])
        for f in (folder / "whole", tmp_path)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


@needs_gloo
def test_ranks_resume_and_know_the_papers_loss(two, tmp_path):
    """Two ranks are one process with twice the batches, also after a resumption."""
    _, (first, second) = two
    options = {"steps": 2, "accumulate": 2, "model_error": False}
    gradients, weights, _ = worker.gradients_of_fit(worker.new_model(), tmp_path, **options)
    assert len(first["paper"][0]) == 1, "the first step was done again"
    assert distance(first["paper"][0][0], gradients[1]) < 1e-4
    assert distance(first["paper"][1], weights) < 1e-5
    assert torch.equal(first["paper"][1], second["paper"][1])


@needs_gloo
def test_an_infinite_loss_on_one_rank_stops_all(two):
    folder, said = two
    # Batch 5 is one of step 1, and the second rank's.
    for one in said:
        assert one["inf"].startswith("the loss became inf at step 1: ")
        assert "look at batches 4 to 7; the last checkpoint is " in one["inf"]
    assert torch.load(folder / "inf" / "checkpoint.pt")["step"] == 1


@needs_gloo
def test_a_full_disk_of_the_first_rank_stops_all(two):
    folder, said = two
    for one in said:
        assert one["full"].startswith("step 4 could not be written to ")
        assert "No space left on device" in one["full"]
    assert torch.load(folder / "whole" / "checkpoint.pt")["step"] == 3


# ------------------------------------------------------------------ one process


def test_a_write_that_fails_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    options = worker.OPTIONS | {"accumulate": 1}
    fit(worker.new_model(), worker.batches_of(), tmp_path, steps=1, **options)
    content = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(torch, "save", worker.full_disk)
    with pytest.raises(OSError, match="step 2 could not .*No space.*: make room .* checkpoint is"):
        fit(worker.new_model(), worker.batches_of(), tmp_path, steps=2, **options)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert files_in(tmp_path) == {"checkpoint.pt", "log.csv"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_really_full(tmp_path):
    (tmp_path / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="step 1 could not .* no checkpoint yet"):
        fit(worker.new_model(), worker.batches_of(), tmp_path, steps=1, **worker.OPTIONS)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def one_thread():
    """As in the other processes: the last bits of a product hang on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_killed_run_loses_at_most_one_interval(tmp_path, one_thread):
    """And ends, resumed, at the bits of one that nobody has killed."""
    process = start(WORKER, "killed", tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, 0.5))
    process.kill()
    said, _ = process.communicate()
    assert checkpoint.exists(), said
    step = torch.load(checkpoint)["step"]
    # What was asked for last belongs to the step after the one that was under way.
    asked = len((tmp_path / "asked").read_text().split())
    under_way = (asked - 1) // worker.KILLED["accumulate"] - 1
    interval = worker.KILLED["checkpoint_every"]
    assert step % interval == 0 and 0 <= under_way + 1 - step <= interval

    resumed, whole = worker.new_model(1), worker.new_model()
    fit(resumed, worker.batches_of(), tmp_path, **worker.KILLED)
    fit(whole, worker.batches_of(), tmp_path / "whole", **worker.KILLED)
    assert all(map(torch.equal, resumed.parameters(), whole.parameters()))
