// The viewer's keys, as the help tells them: what is pressed, and what comes of it. docs/page.md has the same table.

export const KEYS: readonly (readonly [string, string])[] = [
  ["?", "This help, from anywhere but a field"],
  ["Tab or a click", "Give the image the focus: the keys below and the wheel are then its own"],
  ["Arrow keys", "Move the cursor right, left, to the front and to the back"],
  ["Page Up, Page Down", "Move the cursor up and down"],
  ["Wheel", "Through the slices of the plane under the pointer"],
  ["+ and -", "Nearer and farther, about the cursor"],
  ["Ctrl + arrow keys", "Move the image to the side"],
  ["0", "The whole image again"],
  ["Shift + arrow keys", "Turn the 3D view"],
  ["1 to 5", "Planes and 3D, axial, coronal, sagittal, 3D"],
  ["M", "Measure, or put the measurements out of sight"],
  ["Enter, while measuring", "The cursor's place is one end, and then the other"],
  ["Backspace, while measuring", "Take back what was begun, or the newest"],
  ["Right button, drag", "Window: across for its width, along for its level"],
  ["Middle button, drag", "Move the image to the side"],
  ["Escape", "Give the wheel and the keys back to the page"],
];
