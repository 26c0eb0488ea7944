// The inline live view: lines that scroll away as ordinary output, and the block at the bottom that redraws.
import { Box, Static, Text, useInput, useWindowSize } from "ink"
import { createElement as h, type ReactNode, useSyncExternalStore } from "react"
import type { RunView } from "#src/domain/RunView.ts"
import type { Theme } from "#src/report/Theme.ts"
import { liveBlock } from "./block.ts"

export interface LiveState {
  readonly lines: readonly string[]
  readonly view: RunView
  /** ISO time of the frame. */
  readonly now: string
  /** Every line streams by, above one line of keys. */
  readonly streaming: boolean
  readonly stopping: boolean
  readonly finished: boolean
}

export interface LiveStore {
  readonly subscribe: (listener: () => void) => () => void
  readonly get: () => LiveState
}

/** @param width columns that no line of the block exceeds */
export const LiveView = ({ theme, state, width }: { theme: Theme; state: LiveState; width: number }): ReactNode =>
  h(
    Box,
    { flexDirection: "column" },
    h(Static<string>, { items: [...state.lines], children: (line, index) => h(Text, { key: index }, line === "" ? " " : line) }),
    ...(state.finished
      ? []
      : liveBlock(theme, state.view, state.now, width, state).map((line, index) => h(Text, { key: index, wrap: "truncate" }, line)))
  )

export interface LiveKeys {
  readonly onStream: () => void
  readonly onInterrupt: () => void
}

/** The view bound to a store and, where the input is a terminal, to the keys. */
export const LiveApp = (props: { theme: Theme; store: LiveStore; keys: LiveKeys; interactive: boolean }): ReactNode => {
  const state = useSyncExternalStore(props.store.subscribe, props.store.get)
  const { columns } = useWindowSize()
  useInput(
    (input, key) => {
      if (key.ctrl && input === "c") props.keys.onInterrupt()
      else if (input === "s") props.keys.onStream()
    },
    { isActive: props.interactive }
  )
  // One column stays free: a line as wide as the terminal makes some terminals wrap it.
  return h(LiveView, { theme: props.theme, state, width: columns - 1 })
}
