"""An uploaded DICOM series becomes one NIfTI file before anything of it is kept: its headers go no further."""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import replace

from contract.errors import StoreFull, UnreadableVolume
from service.admission.uploads import Scan, nameless
from service.dependencies import Services
from volumes.dicom.jail import convert
from volumes.dicom.signs import is_dicom
from volumes.reader_limits import Limits
from volumes.volume import VolumeError


def as_volume(scan: Scan, series: int | None, services: Services, stack: ExitStack) -> Scan:
    """The upload itself, or where it is DICOM a nameless NIfTI file of its series, which lives as long as the stack.

    `series`: its number, where there are several. Raises: UnreadableVolume, StoreFull, TooManyTransfers.
    """
    with scan.reopened() as file:
        if not is_dicom(file):
            return scan
        target = stack.enter_context(nameless())
        services.take_transfer()
        stack.callback(services.transfers.release)
        settings = services.settings
        limits = Limits(max_voxels=settings.max_voxels, max_bytes=4 * settings.max_upload_bytes)
        try:
            with services.conversions:
                convert(file, target, limits, series, is_packed=True)
        except OSError as err:
            raise StoreFull("There is no room for the upload now.") from err
        except VolumeError as err:
            raise UnreadableVolume("The volume cannot be read.", [("/volume", err.detail)]) from err
    made = Scan(target, target.seek(0, os.SEEK_END), "")
    with made.reopened() as file:
        return replace(made, sha256=hashlib.file_digest(file, "sha256").hexdigest())
