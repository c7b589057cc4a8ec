"""What headers leave open, and how it is taken: the sentences that the record of a job carries."""

NIFTI_PLACE = (
    "The header gives no orientation and no position (both form codes are 0). They were taken as nibabel and FSL take "
    "them: the first axis runs from right to left, the middle of the volume is the origin."
)
QFORM_FOR_SFORM = "The header's sform cannot be a placement; its qform was taken."
NO_SFORM = "The header's sform is all zeros and was taken as not given."
VOXEL_SIZE = "The header gives no size of a voxel along some axis; 1 mm was taken."
VOXEL_SIGN = "The header gives a negative size of a voxel; it was taken without its sign."
BITS = "The header's bits per voxel do not fit its voxel type; the type was taken."
OFFSET = "The header does not say where the voxels start; they were taken from right behind the header."
MILLIMETRES = "The header's unit of length has no meaning; millimetres were taken."
LPS = (
    "The header does not say which way its axes run; they were taken toward left, posterior and superior, as ITK takes "
    "them."
)
ORIGIN = "The header does not say where the first voxel lies; the origin was taken."
AXIS_ENDS = "The header gives no size of a voxel; it was taken from where the axes begin and end."
METAIMAGE_SCALING = "The header's intensity slope and offset were left aside, as ITK leaves them."
UNIT_AS_REAL = (
    "[0, 1] was written in real numbers: readers of this format do not learn what a step of whole numbers is worth."
)
STRAIGHTENED = (
    "The slices of the DICOM series lie further and further along their own plane, as of a tilted gantry. They were "
    "moved to lie straight, by linear interpolation in their planes."
)
INVERTED = (
    "The least number of the DICOM series is white (MONOCHROME1). The values were turned round, so that the greatest "
    "is."
)
OF_SERIES = {"straightened": STRAIGHTENED, "inverted": INVERTED}
"""What was done to a series, by the words that the NIfTI file made of it says it with, behind `SERIES`."""
SERIES = "from DICOM:"
REAL_IN_16_BITS = (
    "DICOM images hold no real numbers: 65,536 steps from the least value of each volume to the greatest were written, "
    "whose worth the header says. A value is off by half a step at most."
)
CORONAL = (
    "The header says that its placement is not to be used. FreeSurfer's default was taken: coronal slices, voxels of "
    "1 mm, the middle of the volume at the origin."
)
OF_PLACE = frozenset({NIFTI_PLACE, QFORM_FOR_SFORM, NO_SFORM, VOXEL_SIZE, VOXEL_SIGN, LPS, ORIGIN, AXIS_ENDS, CORONAL})
"""Those after which a place is not the scanner's word."""
