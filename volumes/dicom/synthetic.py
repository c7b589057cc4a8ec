"""What the header of a synthetic image says: that no patient was there, what made it, and nothing of any scan.

Sources: DICOM PS3.3, A.3 (CT Image), A.4 (MR Image), C.12.1 (Synthetic Data, Contributing Equipment), C.7.6.1.1.2
(Image Type), C.7.6.16.2.11 (Real World Value Mapping); PS3.5, B.2 (UIDs that are UUIDs).
"""

import uuid

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from volumes.dicom.placing import Placing
from volumes.dicom.stored_numbers import STEPS, Scaling
from volumes.reader_limits import Marking

SYNTHETIC = "SYNTHETIC"
MAKER = "Voxelsmith"
PRIVATE_GROUP, PRIVATE_CREATOR, PROVENANCE = 0x0099, "VOXELSMITH 1", 0x01
MOST_PROVENANCE_BYTES = 8192
"""In each image; the job's provenance.json has it in full."""
LONG, SHORT_TEXT = 64, 1024
"""Characters of LO and of ST."""
LEAST_WIDTH = 2.0
"""Of a window: the standard's linear function makes a step of one that is 1 wide (C.11.2.1.2)."""


def uid_of(*parts: str) -> UID:
    """The same for the same parts."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join((MAKER, *parts))).int}")


def meta_of(marking: Marking) -> FileMetaDataset:
    """The file's meta header but for the instance's UID."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if marking.is_ct else MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = uid_of("implementation"), MAKER.upper()
    return meta


def header_of(marking: Marking, placing: Placing, scaling: Scaling, digest: str) -> Dataset:
    """What all images of a series say alike. `digest`: of all that is in them, from which their UIDs come."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage if marking.is_ct else MRImageStorage
    image.SyntheticData = "YES"
    image.StudyInstanceUID, image.SeriesInstanceUID = uid_of(digest, "study"), uid_of(digest, "series")
    image.FrameOfReferenceUID = uid_of(digest, "frame of reference")
    _put_nobody(image, digest)
    _put_origin(image, marking)
    _put_acquisition(image, marking)
    _put_place(image, placing)
    _put_numbers(image, marking, placing, scaling)
    return image


def _put_nobody(image: Dataset, digest: str) -> None:
    """A patient of its own for each volume, who is none, and a study without a time."""
    image.PatientName, image.PatientID = SYNTHETIC, f"{SYNTHETIC}-{digest[:16]}"
    image.PatientBirthDate = image.PatientSex = ""
    image.PatientComments = "Not a patient: the image was computed by a model."
    image.StudyDate = image.StudyTime = image.StudyID = image.AccessionNumber = image.ReferringPhysicianName = ""
    image.StudyDescription = SYNTHETIC


def _put_origin(image: Dataset, marking: Marking) -> None:
    told = marking.provenance
    image.Manufacturer, image.ManufacturerModelName = MAKER, _plain(told.get("model", ""))
    image.SoftwareVersions = _plain(told.get("software", ""))
    image.SeriesDescription = _plain(f"{SYNTHETIC} {told.get('model', '')} {told.get('label') or ''}".strip())
    image.DerivationDescription = "Synthetic: computed by a generative model; no acquired image is in it unchanged."
    image.ImageComments = marking.description
    maker = Dataset()
    maker.PurposeOfReferenceCodeSequence = [_code("109100", "DCM", "Synthesizing Equipment")]
    maker.Manufacturer, maker.ManufacturerModelName = image.Manufacturer, image.ManufacturerModelName
    maker.SoftwareVersions = image.SoftwareVersions
    maker.ContributionDescription = _plain(f"model {told.get('model', '')}, {told.get('model_sha256', '')}", SHORT_TEXT)
    image.ContributingEquipmentSequence = [maker]
    if told:
        block = image.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        block.add_new(PROVENANCE, "UT", marking.text_within(MOST_PROVENANCE_BYTES))


def _put_acquisition(image: Dataset, marking: Marking) -> None:
    """There was none: what must stand there is empty, or says so."""
    image.SeriesNumber, image.AcquisitionNumber = 1, ""
    image.PatientPosition, image.PositionReferenceIndicator = "HFS", ""
    if marking.is_ct:
        image.Modality, image.ImageType, image.KVP = "CT", ["DERIVED", "SECONDARY", "AXIAL"], None
        return
    image.Modality, image.ImageType = "MR", ["DERIVED", "SECONDARY", "OTHER"]
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "RM", "NONE", ""  # RM: research mode
    image.MRAcquisitionType = "3D"
    image.RepetitionTime = image.EchoTime = image.EchoTrainLength = None


def _put_place(image: Dataset, placing: Placing) -> None:
    across, down, apart = placing.spacing_mm
    image.ImageOrientationPatient = [ds(part) for part in placing.directions[:, :2].T.ravel()]
    image.PixelSpacing, image.SliceThickness = [ds(down), ds(across)], ds(apart)
    image.SpacingBetweenSlices = ds(apart)


def _put_numbers(image: Dataset, marking: Marking, placing: Placing, scaling: Scaling) -> None:
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Columns, image.Rows = placing.array.shape[:2]
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = int(scaling.is_signed)
    image.BurnedInAnnotation, image.LossyImageCompression = "NO", "00"
    if marking.is_ct or not scaling.is_plain:
        image.RescaleSlope, image.RescaleIntercept = ds(scaling.slope), ds(scaling.intercept)
        image.RescaleType = "HU" if marking.units == "HU" else "US"
    if not marking.is_ct and not scaling.is_plain:  # the MR module has no slope, though readers heed one
        image.RealWorldValueMappingSequence = [_mapping(scaling)]
    if marking.window is not None:
        low, high = (end * marking.slope for end in marking.window)
        if high - low >= LEAST_WIDTH:
            image.WindowCenter, image.WindowWidth = ds((low + high) / 2), ds(high - low)


def _mapping(scaling: Scaling) -> Dataset:
    item = Dataset()
    kind, ends = ("SS", (-(STEPS // 2) - 1, STEPS // 2)) if scaling.is_signed else ("US", (0, STEPS))
    item.add_new("RealWorldValueFirstValueMapped", kind, ends[0])
    item.add_new("RealWorldValueLastValueMapped", kind, ends[1])
    item.RealWorldValueSlope, item.RealWorldValueIntercept = scaling.slope, scaling.intercept
    item.LUTLabel, item.LUTExplanation = "VALUES", "The model's units, or 0 to 1"
    item.MeasurementUnitsCodeSequence = [_code("1", "UCUM", "no units")]
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def ds(number: float) -> DSfloat:
    """As a decimal string of 16 characters at most."""
    return DSfloat(float(number), auto_format=True)


def _plain(text: object, most: int = LONG) -> str:
    """ASCII without backslashes, which part values."""
    return str(text).encode("ascii", "replace").decode().replace("\\", "/")[:most].strip()
