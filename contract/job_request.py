"""JobRequest: what every kind of job is asked, and the answers that most of them give."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar, Self

from contract import fit
from contract.fields import JobSource, Name, Source
from contract.state import JobKind
from contract.webhooks import Notifying
from model_store.card import AnyCard, ModelCard, Task, Verb


class JobRequest(Notifying):
    """What every kind of job is asked, and its answer unless it says otherwise.

    Pointers are JSON pointers into the HTTP body.
    """

    kind: ClassVar[JobKind]
    verb: ClassVar[Verb]
    """What it asks of a model."""
    path: ClassVar[str]
    """Where it is posted; {model} stands for the model's name."""
    body_field: ClassVar[str | None] = None
    """The HTTP body is this field alone, where the path names the rest; None: it is the whole request."""
    takes_scan: ClassVar[bool] = False
    """Whether a scan may come along with it."""
    is_on_scan: ClassVar[bool] = False
    """Whether its volume has the scan's grid, whatever its size."""
    goes_on: ClassVar[bool] = False
    """Whether a rerun goes on after the volumes that an earlier attempt has finished (docs/decisions/0030)."""
    gives_volumes: ClassVar[bool] = True
    """Whether its job has what another request can name as its source."""

    model: Name

    @property
    def samples(self) -> int:
        """Volumes that a network makes or reads for it, stored or not; at least 1."""
        return 1

    @property
    def volumes(self) -> int:
        """Volumes that it stores."""
        return 0

    @property
    def volumes_field(self) -> str:
        """Pointer of the field that says how many."""
        return "/model"

    @property
    def scan_source(self) -> Source | None:
        """What stands for its scan where none comes along."""
        return None

    @property
    def scan_series(self) -> int | None:
        """Number of the series that is its scan, where a DICOM archive with several comes along."""
        return None

    @property
    def placed_by(self) -> Source | None:
        """The source whose scan its volumes are laid on, where that one has a scan."""
        return None

    @property
    def follows(self) -> str | None:
        """Name of the direction along which it moves."""
        return None

    @property
    def reads_reference(self) -> bool:
        """Whether its model's reference decides which volumes are made."""
        return False

    @property
    def targets(self) -> Sequence[float]:
        """Values of that direction's attribute that it goes to."""
        return ()

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions that it makes."""
        return ()

    @property
    def notifies(self) -> str | None:
        """The address that is to hear of the end of its job."""
        return self.webhook

    def sources(self) -> dict[str, Source]:
        """The latents that it names, by pointer; its scan's source is not among them."""
        return {}

    def with_sources(self, sources: Mapping[str, Source]) -> Self:  # noqa: ARG002 -- a request that names none is itself
        """The same with other sources under these pointers."""
        return self

    def alters(self, card: AnyCard, source: Source) -> bool:  # noqa: ARG002
        """Whether it makes another sample of a source than the job did that this source comes from."""
        return False

    def settled(self) -> Self:
        """With what it leaves to chance drawn; the same again when settled twice."""
        return self

    def tasks(self, *, has_encoder: bool) -> Set[Task]:  # noqa: ARG002
        """What it asks of a network, one after the other; empty where it reads weights alone."""
        return {"synthesise"}

    def check(self, card: AnyCard) -> None:
        """Holds it against the model. Raises: VerbNotSupported; InvalidRequest, for the first thing that does not fit.

        What only generators do says it in `check_generator`.
        """
        self.check_generator(fit.generator_card(card, self.verb))

    def check_generator(self, card: ModelCard) -> None:
        """As `check`."""

    def check_scan(self, shape: tuple[int, int, int], spacing_mm: Sequence[float]) -> None:
        """Holds a scan's sides and voxel size against it. Raises: InvalidRequest, UnreadableVolume."""

    @property
    def scan_values(self) -> tuple[float, float] | None:
        """The least and largest value that its scan may hold; None: any."""
        return None

    def told(self) -> dict[str, Any]:
        """What of it every volume carries in its own header."""
        return {}

    @property
    def names_job(self) -> bool:
        """Whether an earlier job is a source somewhere in it."""
        return any(isinstance(source, JobSource) for source in (self.scan_source, *self.sources().values()))
