export function EditView() { return <p>Later</p>; }
