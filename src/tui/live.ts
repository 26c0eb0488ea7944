// The reporter behind `anneal run` on a terminal: feeds the inline view from events, redraws at most ten times a second.
import { render } from "ink"
import { createElement as h } from "react"
import { emptyRunView } from "#src/domain/RunView.ts"
import { runLines } from "#src/report/lines.ts"
import type { Reporter } from "#src/report/Reporter.ts"
import type { Theme } from "#src/report/Theme.ts"
import { LiveApp, type LiveState } from "./LiveView.ts"

export interface LiveOptions {
  readonly stdout: NodeJS.WriteStream
  readonly stdin: NodeJS.ReadStream
  /** Ctrl-C typed while the terminal is in raw mode, where it is a key and no signal. */
  readonly interrupt: () => void
}

const frameMs = 100
const idleMs = 1000

export const liveReporter = (theme: Theme, options: LiveOptions): Reporter => {
  const lines: string[] = []
  let state: LiveState = {
    lines,
    view: emptyRunView,
    now: new Date().toISOString(),
    streaming: false,
    stopping: false,
    finished: false
  }
  const listeners = new Set<() => void>()
  const set = (change: Partial<LiveState>): void => {
    state = { ...state, ...change }
  }
  let drawn = 0
  let changed = true
  const redraw = (): void => {
    drawn = Date.now()
    changed = false
    set({ now: new Date(drawn).toISOString() })
    for (const listener of listeners) listener()
  }
  const timer = setInterval(() => {
    if (changed || Date.now() - drawn >= idleMs) redraw()
  }, frameMs)
  const [sparse, every] = [runLines(theme), runLines(theme, { everyStep: true })]
  const app = render(
    h(LiveApp, {
      theme,
      interactive: options.stdin.isTTY,
      store: {
        subscribe: (listener) => {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
        get: () => state
      },
      keys: {
        onStream: () => set({ streaming: !state.streaming }),
        onInterrupt: () => {
          set({ stopping: true })
          options.interrupt()
        }
      }
    }),
    { stdout: options.stdout, stdin: options.stdin, exitOnCtrlC: false, patchConsole: false, interactive: true }
  )
  return {
    report: (event, view) => {
      // Both formatters hear every event, so that switching loses and repeats nothing.
      const [few, all] = [sparse(event, view), every(event, view)]
      lines.push(...(state.streaming ? all : few))
      set({ view })
      changed = true
    },
    close: async () => {
      clearInterval(timer)
      set({ finished: true })
      redraw()
      await app.waitUntilRenderFlush()
      app.unmount()
      await app.waitUntilExit()
    }
  }
}
