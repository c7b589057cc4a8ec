export function EncodeView() { return <p>Later</p>; }
