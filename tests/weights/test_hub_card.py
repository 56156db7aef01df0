"""Cards for the Hub, read back by the Hub's own library."""

import pytest

import spectok

hub = pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")


@pytest.fixture
def folder(tmp_path):
    model = spectok.SpectralTokenizer(spectok.ModelConfig.of_size("tiny"))
    card = {
        "trained_on": "mocks",
        "scores": {
            "sdss | all | hidden": {"median": [1.03, 0.97, 1.09], "objects": 48, "pixels": 21912},
            "sdss | all | lines": {"objects": 0},
        },
        "embedding_scores": {"class": {"value": 0.93, "low": 0.9, "high": 0.95, "n": 1500}},
    }
    return spectok.save_model(model, tmp_path / "mine-v1", card=card)


def test_the_hub_reads_it(folder):
    file = spectok.save_hub_card(folder, license="bsd-3-clause", datasets=["owner/spectra"])
    card = hub.ModelCard.load(file)
    data = card.data
    assert data.license == "bsd-3-clause" and data.library_name == "spectok"
    assert data.datasets == ["owner/spectra"] and "spectroscopy" in data.tags
    found = {one.metric_name: one.metric_value for one in data.eval_results}
    assert found == {
        "scores | sdss | all | hidden | median": 1.03,
        "embedding_scores | class": 0.93,
    }
    assert all(one.dataset_name for one in data.eval_results)


def test_the_text_has_what_one_cites(folder):
    text = spectok.save_hub_card(folder, license="mit").read_text()
    model = spectok.load_model(folder)
    assert model.origin.sha256 in text and spectok.__version__ in text
    assert "trained on: mocks" in text and "patch size: 32" in text
    assert "| 0.97 to 1.09 | 48 |" in text and "| 0.9 to 0.95 | 1500 |" in text
    assert 'model="hf://OWNER/mine-v1"' in text


def test_the_folder_is_still_a_model(folder):
    before = spectok.load_model(folder)
    spectok.save_hub_card(folder, license="mit")
    assert spectok.load_model(folder).origin.sha256 == before.origin.sha256


def test_every_embedded_card_can_be_written(tmp_path):
    for name in spectok.list_models():
        model = spectok.load_model(name)
        folder = spectok.save_model(model, tmp_path / name, half=True)
        card = hub.ModelCard.load(spectok.save_hub_card(folder, license="bsd-3-clause"))
        kind = "light-curves" if model.config.of_times else "spectroscopy"
        assert kind in card.data.tags and card.data.model_name == name


def test_somebodys_own_is_kept(folder):
    (folder / "README.md").write_text("mine")
    with pytest.raises(FileExistsError, match="move it away"):
        spectok.save_hub_card(folder, license="mit")
    assert (folder / "README.md").read_text() == "mine"


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no config.json"):
        spectok.save_hub_card(tmp_path, license="mit")
