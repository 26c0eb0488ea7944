// What the stage's process and its replicas say to each other over IPC. Small messages only: weights and gradients go through
// the exchange file. Structured clones, not JSON, so that a loss that is not finite arrives as it is.
import type { AnnealError } from "#src/domain/Errors.ts"
import type { StageTask } from "#src/domain/StageContext.ts"
import type { ProcessMemory } from "../processMemory.ts"

/** A step's (or the validation's) share of one replica. The weights in the exchange are those of the moment. */
export type Share =
  | { readonly type: "gradients"; readonly step: number; readonly scale: number; readonly items: readonly number[] }
  | { readonly type: "losses"; readonly items: readonly number[] }

/** `start` comes once and first. `taken`: the gradient in the exchange was read, the next one may be written. */
export type ToReplica =
  | { readonly type: "start"; readonly task: StageTask; readonly region: number; readonly of: number }
  | Share
  | { readonly type: "taken" }

/** One `result` for each item of a share, in their order, with the replica's memory then; that of a gradient comes when it lies in the exchange. */
export type FromReplica =
  | { readonly type: "result"; readonly item: number; readonly loss: number; readonly memory: ProcessMemory }
  | { readonly type: "failed"; readonly error: typeof AnnealError.Encoded }

/** File descriptor of the exchange in a replica: the first behind the channel. */
export const exchangeFd = 4
