// Where the trained tensors, their gradients and moments live, and the arithmetic of an optimizer step over them: on the host
// (ParamStore.ts) or in a device's memory (ResidentStore.ts).
import type { Trainable } from "./ParamStore.ts"
import type { DeviceFeeds, Session } from "./Session.ts"
import type { Rates } from "./updateTensor.ts"

type Eventually = void | Promise<void>

export interface Store {
  /** Weights and moments on the host, for checkpoints and results: as they are now after toHost. */
  readonly trainables: readonly Trainable[]
  /** Number of trained values. */
  readonly size: number
  /** The weights by the names of graph inputs, as they are now. */
  readonly parameters: () => DeviceFeeds
  /** Outputs of a training graph that its session leaves on the device. */
  readonly resident: readonly string[]
  /** Runs a training graph: the gradients replace those of the last micro-batch, the loss fills `nll`. */
  readonly fill: (session: Session, feeds: DeviceFeeds, nll: Float32Array) => Promise<void>
  /** The gradients of a micro-batch without trained tokens. */
  readonly clear: () => Eventually
  /** Takes the micro-batch's gradients into the step's; `first` begins a step. */
  readonly accumulate: (first: boolean) => Eventually
  /** Adds the gradient of lambda/2 ||w - w0||^2, w0 the initial weights, to the step's. */
  readonly pull: (lambda: number) => Eventually
  /** Global L2 norm of the step's gradient. */
  readonly gradNorm: () => number | Promise<number>
  /**
   * Optimizer step `t` (from 1) with the step's gradient scaled by `clip`; `ratesOf` gives each tensor's own rates. Returns
   * ||change|| / ||weights before||, of some or all weights.
   */
  readonly update: (ratesOf: (trainable: Trainable) => Rates, t: number, clip: number) => number | Promise<number>
  /** Brings weights and moments to where steps need them; called before the first step. */
  readonly toDevice: () => Eventually
  /** Brings them to `trainables`. */
  readonly toHost: () => Eventually
  /** Gives the device's memory back; `trainables` stay. */
  readonly release: () => Eventually
}
