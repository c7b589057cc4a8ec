// Latest wins: of many wishes made while one is being granted, only the newest is granted next.

/**
 * Runs `work` for one wish at a time. A newer wish aborts the running one and replaces those that wait; wishes closer
 * together than `calmMs` count as one. Failures are for the work itself to tell.
 */
export class LatestWins<T> {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;
  private waiting: { wish: T } | null = null;
  private isClosed = false;

  constructor(
    private readonly work: (wish: T, signal: AbortSignal) => Promise<void>,
    private readonly calmMs = 150,
  ) {}

  ask(wish: T): void {
    if (this.isClosed) return;
    this.waiting = { wish };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), this.calmMs);
  }

  /** Aborts what runs and forgets what waits. */
  drop(): void {
    clearTimeout(this.timer);
    this.waiting = null;
    this.running?.abort();
  }

  close(): void {
    this.isClosed = true;
    this.drop();
  }

  private next(): void {
    if (!this.waiting) return;
    this.running?.abort();
    if (this.running) return; // it calls again when it has ended
    const { wish } = this.waiting;
    this.waiting = null;
    const running = new AbortController();
    this.running = running;
    const settled = (): void => {
      this.running = null;
      if (this.waiting) this.next();
    };
    this.work(wish, running.signal).then(settled, settled);
  }
}
