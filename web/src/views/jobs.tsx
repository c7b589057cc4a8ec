export function JobsView() { return <p>Later</p>; }
