"""A user's embedder class: found, hashed, held to what it states; the guide's example runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import yaml

from behavior_scaling import user_class
from behavior_scaling.config import ConfigError, Study, load_study, study_schema
from behavior_scaling.model.embedder import make_embedder
from behavior_scaling.model.embedder_base import Columns, ItemEmbedder, Items
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.flops import flops_cache, item_flops
from behavior_scaling.sizes.parameters import embedder_parameters
from behavior_scaling.sizes.saved import embedder_saves
from behavior_scaling.sizes.shapes import realise
from behavior_scaling.sweep.plan import make_plan

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide_embedder.md").read_text()
EXAMPLE = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)[0]
D, V, T = 12, 40, 5


@pytest.fixture(autouse=True)
def _forget() -> Any:
    """Leave no class to the next test."""
    yield
    user_class._classes.clear()
    user_class._folders.clear()


def _study(folder: Path, kind: str, source: str = EXAMPLE, **changes: Any) -> Path:
    """The quick study with an embedder of its own, its module beside it."""
    (folder / "my_embedders.py").write_text(source)
    raw = yaml.safe_load((ROOT / "config" / "quick.yaml").read_text())
    raw["embedder"] = {"kind": kind, "widths": [8, 16, 32], "depths": [0, 1, 2]} | changes
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def _kind(folder: Path, source: str = EXAMPLE, name: str = "GatedMean") -> str:
    return load_study(_study(folder, f"my_embedders:{name}", source)).embedder.kind


def _items() -> Items:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 512, (V, T), generator=generator)
    columns = Columns(codes % 3, torch.randn(V, 2, generator=generator), torch.arange(4).view(2, 2))
    return Items(codes, torch.ones(V, T), columns)


def _build(kind: str, depth: int = 1, seed: int = 0) -> ItemEmbedder:
    spec = EmbedderSpec(kind, 8, depth)
    return make_embedder(spec, D, _items(), 512, seeded("user", seed))


def test_a_study_is_resolved_to_the_source_it_names(tmp_path: Path) -> None:
    """The hash of the file is in the kind; an edited file is another kind; a spec can say it."""
    first = _kind(tmp_path)
    assert re.fullmatch(r"my_embedders:GatedMean@[0-9a-f]{12}", first)
    study = load_study(tmp_path / "study.yaml")
    jsonschema.validate(json.loads(study.model_dump_json()), study_schema())
    second = _kind(tmp_path, EXAMPLE + "\n# edited\n")
    assert second != first
    with pytest.raises(ConfigError, match=r"embedder.kind: .* it was edited, .* other runs"):
        load_study(_study(tmp_path, first, EXAMPLE + "\n# edited\n"))
    assert load_study(_study(tmp_path, first)).embedder.kind == first


def test_an_edited_class_is_another_run_and_is_imported_anew(tmp_path: Path) -> None:
    """In one process: what is stated, and the module, are those of the file at the time."""
    first = _kind(tmp_path)
    assert embedder_parameters(EmbedderSpec(first, 8, 1), D) == 2 * 64 + 8 * D
    edited = EXAMPLE.replace("depth * 2 * width**2 + width * d", "7")
    second = _kind(tmp_path, edited)
    assert embedder_parameters(EmbedderSpec(second, 8, 1), D) == 7
    user_class._classes.clear()
    with pytest.raises(ValueError, match="it was edited"):
        embedder_parameters(EmbedderSpec(first, 8, 1), D)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_guides_example_is_what_it_states(tmp_path: Path, depth: int) -> None:
    """Built (which checks it), reproducible by seed, with the sizes that planning sees."""
    kind = _kind(tmp_path)
    torch.manual_seed(8)
    embedder = _build(kind, depth)
    spec = EmbedderSpec(kind, 8, depth)
    assert not embedder.distinguishes_items
    assert sum(p.numel() for p in embedder.parameters()) == embedder_parameters(spec, D)
    ids = torch.tensor([3, 1, 3])
    vectors = embedder(ids)
    assert vectors.shape == (3, D)
    torch.manual_seed(9)  # whatever was drawn before
    assert torch.equal(vectors, _build(kind, depth)(ids))
    assert not torch.equal(vectors, _build(kind, depth, seed=1)(ids))
    assert embedder.training_flops(ids) == 3 * item_flops(spec, D, T)
    assert flops_cache(spec, D, T, V) == V * item_flops(spec, D, T) / 3
    with pytest.raises(ValueError, match="does not state saved_floats_per_item"):
        embedder_saves(spec, D, T)


def test_torchs_global_generator_is_left_alone(tmp_path: Path) -> None:
    """Although torch's own initialisers draw from it."""
    kind = _kind(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _build(kind)
    assert torch.equal(torch.rand(3), expected)


WRONG = {
    "parameters": (
        ("depth * 2 * width**2 + width * d\n\n", "depth * 2 * width**2\n\n"),
        r"holds 224 trainable parameters, parameters_of\(\) states 128",
    ),
    "frozen": (
        ("self.out = nn", "self.odd = nn.Parameter(torch.ones(3), requires_grad=False)\n"
         "        self.out = nn"),
        "what is not trained belongs in a buffer",
    ),
    "flops": (
        ("return 6 * (depth", "return 6.2 * (depth"),
        r"ran [\d,]+ FLOPs forward and backward on 32 items of 5 tokens",
    ),
    "saved": ((", persistent=False", ""), r"saves \['means'\] besides its parameters"),
    "shape": (("return self.out(x)", "return x"), r"gives \(32, 8\) for 32 items"),
    "unused": (
        ("x = x + torch.sigmoid(gate(x)) * value(x)", "x = x + value(x)"),
        "has a parameter gates.0.weight that no item vector depends on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_a_class_that_is_not_what_it_states_is_refused(tmp_path: Path, fault: str) -> None:
    """Before anything is trained."""
    (old, new), message = WRONG[fault]
    assert old in EXAMPLE
    kind = _kind(tmp_path, EXAMPLE.replace(old, new))
    with pytest.raises(ValueError, match=rf"embedder.kind my_embedders:GatedMean@\w+: .*{message}"):
        _build(kind)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("my_embeders:GatedMean", "there is no module 'my_embeders' neither below"),
        ("my_embedders.py:GatedMean", "there is no module 'my_embedders.py'"),
        ("my embedders:X", "does not name a class"),
        ("transfomer", "'transfomer' is none of transformer, mlp, tabtransformer, table"),
        ("fixed", "'fixed' is none of"),
    ],
)
def test_a_bad_kind_names_its_key(tmp_path: Path, kind: str, says: str) -> None:
    """In the message of the study."""
    with pytest.raises(ConfigError, match=rf"embedder.kind: .*{re.escape(says)}"):
        load_study(_study(tmp_path, kind))


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("Absent", EXAMPLE, "has no class Absent"),
        ("GatedMean", "GatedMean = 3\n", "has no class GatedMean"),
        ("GatedMean", EXAMPLE.replace("parameters_of", "count"), "does not state parameters_of"),
        ("GatedMean", "import no_such_module_at_all\n", "failed: No module named"),
        ("GatedMean", "class GatedMean(:\n", "failed: invalid syntax"),
    ],
)
def test_a_bad_class_is_refused_when_sizes_are_asked_for(
    tmp_path: Path, name: str, source: str, says: str
) -> None:
    """The message names the key, and the file or what is lacking."""
    kind = _kind(tmp_path, source, name)
    with pytest.raises(ValueError, match=rf"embedder.kind my_embedders:{name}@\w+: .*{says}"):
        embedder_parameters(EmbedderSpec(kind, 8, 1), D)


@pytest.mark.parametrize("value", ["0", "-3", "1.5", "None"])
def test_stated_sizes_must_be_numbers(tmp_path: Path, value: str) -> None:
    """Positive ones."""
    source = EXAMPLE.replace("return depth * 2 * width**2 + width * d", f"return {value}")
    spec = EmbedderSpec(_kind(tmp_path, source), 8, 1)
    with pytest.raises(ValueError, match="not a positive integer"):
        embedder_parameters(spec, D)


def test_the_name_of_another_module_is_not_taken(tmp_path: Path) -> None:
    """A file beside the study called as something imported already does not replace it."""
    (tmp_path / "yaml.py").write_text(EXAMPLE)
    study = load_study(_study(tmp_path, "yaml:GatedMean"))
    with pytest.raises(ValueError, match="another module is called 'yaml'"):
        embedder_parameters(EmbedderSpec(study.embedder.kind, 8, 1), D)
    assert sys.modules["yaml"] is yaml


def test_a_class_in_a_package_beside_the_study(tmp_path: Path) -> None:
    """With a sibling that it imports."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "gated.py").write_text(EXAMPLE)
    (package / "mine.py").write_text(
        "from my_package.gated import GatedMean\n\n\nclass Mine(GatedMean):\n    pass\n"
    )
    kind = load_study(_study(tmp_path, "my_package.mine:Mine")).embedder.kind
    assert _build(kind)(torch.tensor([1])).shape == (1, D)
    assert str(tmp_path) not in sys.path


def test_shares_are_realised_from_what_is_stated(tmp_path: Path) -> None:
    """A plan of a study with a class of its own, sizes by hand."""
    study: Study = load_study(_study(tmp_path, "my_embedders:GatedMean"))
    shape = realise(study.embedder, study.contextualizer, 20_000, 0.1)
    e, depth = shape.embedder.width, shape.embedder.depth
    assert shape.n_emb == depth * 2 * e**2 + e * shape.contextualizer.width
    assert shape.share == pytest.approx(0.1, rel=0.35)
    plan = make_plan(study, 1682)
    assert {cell.embedder.kind for cell in plan.cells} <= {study.embedder.kind, "fixed"}
    assert len(plan.cells) > 10


def test_planning_imports_torch_only_for_a_class(tmp_path: Path) -> None:
    """A study without one plans without torch."""
    code = """if True:
        import sys
        from pathlib import Path
        from behavior_scaling.config import load_study
        from behavior_scaling.sweep.plan import make_plan
        study = load_study(Path(sys.argv[1]))
        print("torch" in sys.modules, end=" ")
        make_plan(study, 1682)
        print("torch" in sys.modules)
    """
    for kind, wanted in [
        ("transformer", "False False"),
        ("tabtransformer", "False False"),
        ("my_embedders:GatedMean", "False True"),
    ]:
        path = _study(tmp_path, kind)
        found = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == wanted
