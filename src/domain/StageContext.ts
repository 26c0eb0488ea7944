// What a stage's run function is given. Plain values and functions, so that it can cross into the stage's own process.
import type { HubCommit } from "./ModelInfo.ts"
import type { StageEvent } from "./RunEvent.ts"

export interface InputArtifact {
  readonly kind: string
  /** "sha256:<hex>". */
  readonly digest: string
  /** Absolute path of the immutable file or folder: read it, never write there. */
  readonly path: string
  /** Set for a base model that was downloaded from the Hugging Face hub. */
  readonly hub?: HubCommit
}

/** The part of a context that is data (sent to a stage's own process as it is). */
export interface StageTask<C = unknown> {
  readonly pipeline: string
  readonly run: string
  readonly stage: string
  readonly key: string
  readonly config: C
  readonly inputs: Readonly<Record<string, InputArtifact>>
  /** External files named in the config, as absolute paths, by config path. */
  readonly files: Readonly<Record<string, string | readonly string[]>>
  /** Private folder of this attempt; outputs are written below it. */
  readonly workDir: string
  /** Folder of checkpoints for this key: survives crashes, retries and Ctrl-C; removed once the stage's result is published. */
  readonly checkpointDir: string
  /** Lease file of this key and the token of this attempt: see `verifyLease`. */
  readonly leasePath: string
  readonly attempt: string
  /** Upper bound of ONNX Runtime's threads; 0 = one per core. Execution-only. */
  readonly threads: number
}

export interface StageContext<C = unknown> extends StageTask<C> {
  /** Absolute path at which output `name` must be written (a file or a folder, the stage's choice). */
  readonly output: (name: string) => string
  readonly emit: (event: StageEvent) => void
  /** Set when the run is being stopped: end the current step, save a checkpoint, throw InterruptedError. */
  readonly stopRequested: () => boolean
  /** Throws unless this attempt still owns the key's lease: call before every checkpoint rename, so a stale attempt never overwrites. */
  readonly verifyLease: () => void
  /** Reserves the next version of a registered model's name (1, 2, 3 …). Absent in a stage that runs in its own process. */
  readonly reserveVersion?: (name: string) => Promise<number>
}
