// How many processes share a training, and the threads that each of them has.
import { availableParallelism } from "node:os"
import { deviceCount } from "../device.ts"
import type { TrainConfig } from "./stage.ts"

/** Threads of the whole training: its own, else those of the run; 0 = one per core. */
export const totalThreads = (config: Pick<TrainConfig, "threads">, ofRun: number): number => config.threads ?? ofRun

/** One for each device of a list. Above the number of a step's micro-batches they would have nothing to do. */
export const workersOf = ({ workers, device, gradientAccumulationSteps }: TrainConfig): number =>
  Math.min(Math.max(workers, deviceCount(device)), gradientAccumulationSteps)

/** A worker's share of `threads` (0: one per core). */
export const threadsOf = (threads: number, workers: number): number =>
  workers === 1 ? threads : Math.max(1, Math.floor((threads === 0 ? availableParallelism() : threads) / workers))
