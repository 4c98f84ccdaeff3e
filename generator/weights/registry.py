"""What is published, where, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from lyra_sim.errors import LyraSimError

NVIDIA_LICENCE = "NVIDIA Open Model License"
NOT_KNOWN = "not known"
FOLDER = "folder"
"""Layout of a model that stays a folder of JSON and safetensors files, as transformers and diffusers publish."""


@dataclass(frozen=True)
class PublishedFile:
    """Name one file of a hub repository."""

    name: str
    """Path within the repository."""
    md5: str | None = None
    """Checksum as its publisher states it; None where none is stated."""
    optional: bool = False
    """Whether `import` can do without it: the statistics of a tokenizer whose configuration holds them."""


@dataclass(frozen=True)
class Entry:
    """Describe published weights and what becomes of them in the store."""

    name: str
    """Name on the command line, and stem of the card and of the safetensors file in the store."""
    title: str
    """What it is, in a few words."""
    kind: str
    """Kind on the card, which decides what may load it."""
    layout: str
    """How the published files are laid out: a key of `convert.LAYOUTS`, or `FOLDER`."""
    repository: str
    """Repository on the hub."""
    files: tuple[PublishedFile, ...]
    """What is downloaded; the first one holds the weights. Empty for a folder, which comes whole."""
    licence: str
    """Licence of the weights."""
    size: str = NOT_KNOWN
    """Size of the download, in words; exact figures come from the hub when it is asked."""
    least_bytes: int = 0
    """A lower bound of the download [bytes], for the free-disk check when the hub does not answer."""
    stored_share: float = 1.0
    """Most that the converted file takes, as a share of the download."""
    rays: str | None = None
    """Precision of the rays that a decoder was trained with; goes on the card."""

    @property
    def page(self) -> str:
        """Web page of the repository, where the licence can be read."""
        return f"https://huggingface.co/{self.repository}"

    @property
    def licence_key(self) -> str:
        """What acceptance is remembered under; a licence that is not known counts for its repository alone."""
        return self.licence if self.licence != NOT_KNOWN else f"{NOT_KNOWN}: {self.repository}"


ENTRIES = (
    Entry(
        name="lyra-static",
        title="Lyra decoder, static scenes",
        kind="decoder",
        layout="lyra-static",
        repository="nvidia/Lyra",
        files=(PublishedFile("lyra_static.pt", "28ddd05011b33350c70edab02c23c602"),),
        licence=NVIDIA_LICENCE,
        size="at least 66 MB (computed: 32.8 M parameters, bf16)",
        least_bytes=66_000_000,
        rays="bfloat16",
    ),
    Entry(
        name="lyra-dynamic",
        title="Lyra decoder, scenes that move",
        kind="decoder",
        layout="lyra-dynamic",
        repository="nvidia/Lyra",
        files=(PublishedFile("lyra_dynamic.pt", "91c1b3920332287ed161bc47a1fd7077"),),
        licence=NVIDIA_LICENCE,
        size="at least 66 MB (computed: 32.8 M parameters, bf16)",
        least_bytes=66_000_000,
        rays="bfloat16",
    ),
    Entry(
        name="cosmos-tokenizer",
        title="Cosmos tokenizer CV8x8x8-720p",
        kind="tokenizer",
        layout="cosmos-tokenizer",
        repository="nvidia/Cosmos-Tokenize1-CV8x8x8-720p",
        files=(PublishedFile("model.pt"), PublishedFile("mean_std.pt", optional=True)),
        licence=NVIDIA_LICENCE,
        size="at least 211 MB (computed: 105.7 M parameters, bf16)",
        least_bytes=211_000_000,
    ),
    Entry(
        name="gen3c",
        title="GEN3C-Cosmos-7B denoiser",
        kind="gen3c-transformer",
        layout="gen3c",
        repository="nvidia/GEN3C-Cosmos-7B",
        files=(PublishedFile("model.pt", "38644bf823aa5272acef60cfad8bc0f7"),),
        licence=NVIDIA_LICENCE,
        size="at least 14.5 GB (computed, bf16)",
        least_bytes=14_500_000_000,
    ),
    Entry(
        name="moge-depth",
        title="MoGe ViT-L depth model",
        kind="depth",
        layout="moge",
        repository="Ruicheng/moge-vitl",
        files=(PublishedFile("model.pt"),),
        licence=NOT_KNOWN,
    ),
    Entry(
        name="t5-text-encoder",
        title="T5-11B text encoder (the encoder half, bf16)",
        kind="text-encoder",
        layout="t5",
        repository="google-t5/t5-11b",
        files=(PublishedFile("pytorch_model.bin"), PublishedFile("tokenizer.json", optional=True)),
        licence=NOT_KNOWN,
        size="about 45 GB",
        least_bytes=45_000_000_000,
        stored_share=0.25,
    ),
    Entry(
        name="depth-anything-v2",
        title="Depth Anything V2, metric, indoor, small",
        kind="depth",
        layout=FOLDER,
        repository="depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
        files=(),
        licence="Apache-2.0",
        size="99.2 MB",
        least_bytes=99_200_000,
    ),
    Entry(
        name="depth-pro",
        title="Depth Pro, metric depth and focal length",
        kind="depth",
        layout=FOLDER,
        repository="apple/DepthPro-hf",
        files=(),
        licence="Apple Machine Learning Research Model License (research only)",
        size="at least 1.9 GB (the same weights as fp16)",
        least_bytes=1_900_000_000,
    ),
    Entry(
        name="z-image",
        title="Z-Image text-to-image pipeline",
        kind="text-to-image",
        layout=FOLDER,
        repository="Tongyi-MAI/Z-Image",
        files=(),
        licence="Apache-2.0",
        size="about 20 GB (computed: 10 G parameters with its text encoder, bf16)",
        least_bytes=20_000_000_000,
    ),
    Entry(
        name="sana-wm",
        title="SANA-WM camera-controlled video pipeline",
        kind="camera-to-video",
        layout=FOLDER,
        repository="Efficient-Large-Model/SANA-WM_bidirectional-diffusers",
        files=(),
        licence="Apache-2.0; its Gemma 2 and LTX-2 parts under terms of their own",
        least_bytes=8_000_000_000,
    ),
)
"""Every published model that the full size can use."""


def find_entry(name: str) -> Entry:
    """Return the entry of a name; raises LyraSimError with the names that exist."""
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise LyraSimError(f"no weights are called {name!r}; choose from {', '.join(e.name for e in ENTRIES)}")
