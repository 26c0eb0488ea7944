// How a run is told to stop: the first time, running stages end their step and save; the second time, all ends at once.
export type StopLevel = "go" | "finish" | "now"

export interface Control {
  readonly stop: () => void
  readonly level: () => StopLevel
  /** Calls `listener` at each later stop; returns what takes it off again. */
  readonly onStop: (listener: (level: StopLevel) => void) => () => void
}

export const makeControl = (): Control => {
  let level: StopLevel = "go"
  const listeners = new Set<(level: StopLevel) => void>()
  return {
    stop: () => {
      level = level === "go" ? "finish" : "now"
      for (const listener of listeners) listener(level)
    },
    level: () => level,
    onStop: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    }
  }
}
