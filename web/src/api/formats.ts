// Made by `npm run api` from volumes/formats.py: the endings that are read; what is written, and its title.
export const READABLE = [
  ".nii.gz",
  ".nii",
  ".nrrd",
  ".mha",
  ".mgz",
  ".mgh.gz",
  ".mgh",
  ".dcm.zip",
  ".zip",
  ".dcm",
] as const;
export const WRITTEN = [
  ["nii.gz", "NIfTI, compressed (.nii.gz)"],
  ["nii", "NIfTI (.nii)"],
  ["nrrd", "NRRD (.nrrd)"],
  ["mha", "MetaImage (.mha)"],
  ["dicom", "DICOM series (.dcm.zip)"],
  ["npy", "NumPy (.npy)"],
] as const;
