// The error of a graph that cannot be built: thrown by the op function, so the top of the stack is the author's own line.
import { showShape } from "./Type.ts"
import type { Shape } from "./Type.ts"

/** `op`: the op that was called; `shapes`: of its inputs; `hint`: what to change. */
export class GraphError extends Error {
  readonly op: string
  readonly shapes: readonly Shape[]
  readonly hint: string | undefined

  constructor(op: string, shapes: readonly Shape[], problem: string, hint?: string) {
    const where = shapes.length === 0 ? op : `${op}: ${shapes.map(showShape).join(" x ")}`
    super(`${problem} in ${where}${hint === undefined ? "" : ` (${hint})`}`)
    this.name = "GraphError"
    this.op = op
    this.shapes = shapes
    this.hint = hint
  }
}
