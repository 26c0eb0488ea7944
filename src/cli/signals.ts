// Signals while a run goes on: they ask the run to stop, and do not end the process at once as they do elsewhere.

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
export type StopSignal = keyof typeof exitCodes

export const exitCodeOf = (signal: StopSignal): number => exitCodes[signal]

/** Takes the signals over from the process's own handlers until `work` is done. */
export const withSignals = async <A>(onSignal: (signal: StopSignal) => void, work: () => Promise<A>): Promise<A> => {
  const signals = Object.keys(exitCodes) as StopSignal[]
  const before = signals.map((signal) => [signal, process.listeners(signal)] as const)
  for (const signal of signals) {
    process.removeAllListeners(signal)
    process.on(signal, onSignal)
  }
  try {
    return await work()
  } finally {
    for (const [signal, listeners] of before) {
      process.removeListener(signal, onSignal)
      for (const listener of listeners) process.on(signal, listener)
    }
  }
}
