// Line icons on a 20-unit square, drawn for this page.
const PATHS = {
  dice: "M4 4h12v12H4z M7.3 7.3h.01 M12.7 7.3h.01 M10 10h.01 M7.3 12.7h.01 M12.7 12.7h.01",
  reset: "M4.5 10a5.5 5.5 0 1 0 1.8-4.1 M4.2 3.6v3.2h3.2",
  download: "M10 3v9 M6.5 9 10 12.5 13.5 9 M4 16.5h12",
  trash: "M4 5.5h12 M8 5.5V3.8h4v1.7 M5.5 5.5l.8 11h7.4l.8-11 M8.6 8.5v5 M11.4 8.5v5",
  stop: "M5.5 5.5h9v9h-9z",
  copy: "M7 7h9v9H7z M13 7V4H4v9h3",
  repeat:
    "M4 9V7.5A2.5 2.5 0 0 1 6.5 5H15 M12.7 2.7 15 5l-2.3 2.3 M16 11v1.5A2.5 2.5 0 0 1 13.5 15H5 M7.3 17.3 5 15l2.3-2.3",
  sun: "M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6z M10 2.5v1.6 M10 15.9v1.6 M2.5 10h1.6 M15.9 10h1.6 M4.7 4.7l1.1 1.1 M14.2 14.2l1.1 1.1 M4.7 15.3l1.1-1.1 M14.2 5.8l1.1-1.1",
  moon: "M15.8 12.2A6.4 6.4 0 0 1 7.8 4.2a6.4 6.4 0 1 0 8 8z",
  auto: "M10 3.5a6.5 6.5 0 1 0 0 13z M10 3.5a6.5 6.5 0 0 1 0 13",
  key: "M12.5 4a3.5 3.5 0 1 1-2.6 5.9L4 15.8V17h2.4v-1.8h1.8v-1.8h1.6 M13.5 6.5h.01",
  full: "M4 8V4h4 M12 4h4v4 M16 12v4h-4 M8 16H4v-4",
  pin: "M7 3.5h6 M8 3.5v5l-2.2 2.7h8.4L12 8.5v-5 M10 11.2v5.3",
  compare: "M10 3v14 M4 5h3.5v10H4z M12.5 5H16v10h-3.5z",
  warning: "M10 3.5 17.3 16H2.7z M10 8v3.6 M10 13.6h.01",
  upload: "M10 13V4 M6.5 7.5 10 4l3.5 3.5 M4 16.5h12",
  edit: "M4 16h3l8.5-8.5-3-3L4 13z M11 6l3 3",
  camera: "M3.5 6.5h3L8 4.5h4l1.5 2h3v9h-13z M10 8.3a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z",
  plus: "M10 4.5v11 M4.5 10h11",
  minus: "M4.5 10h11",
  fit: "M4 8V4h4 M12 4h4v4 M16 12v4h-4 M8 16H4v-4 M8 8h4v4H8z",
  ruler: "M2.5 13.5 13.5 2.5l4 4-11 11z M6 10l2 2 M8.8 7.2l1.3 1.3 M11.5 4.5l2 2",
  hand: "M10 3v14 M3 10h14 M8 5l2-2 2 2 M8 15l2 2 2-2 M5 8l-2 2 2 2 M15 8l2 2-2 2",
  close: "M5 5l10 10 M15 5 5 15",
  left: "M12 4.5 6.5 10l5.5 5.5",
  right: "M8 4.5 13.5 10 8 15.5",
  mosaic: "M4 4h5v5H4z M11 4h5v5h-5z M4 11h5v5H4z M11 11h5v5h-5z",
  star: "M10 3.2l2.1 4.4 4.8.6-3.5 3.3.9 4.8-4.3-2.4-4.3 2.4.9-4.8-3.5-3.3 4.8-.6z",
  filter: "M3.5 5h13 M6 10h8 M8.5 15h3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A cube of voxels, one of them lit. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path class="mark-lit" d="M12 2.5 20 7l-8 4.5L4 7z" />
      <path d="M12 2.5 20 7v10l-8 4.5L4 17V7z M4 7l8 4.5L20 7 M12 11.5v10 M8 4.8l8 4.5v10 M16 4.8 8 9.3v10 M4 12l8 4.5 8-4.5" />
    </svg>
  );
}
