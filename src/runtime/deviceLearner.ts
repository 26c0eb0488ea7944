// The Learner that suits a device: steps one by one over the host's arrays or over a store in the device's memory, or several steps a run.
import { type GraphLearner, graphLearner } from "./GraphLearner.ts"
import { loopLearner, type LoopLearnerOptions } from "./loopLearner.ts"
import { ResidentStore } from "./ResidentStore.ts"

export interface DeviceLearnerOptions extends LoopLearnerOptions {
  /** A step sums several micro-batches. */
  readonly accumulates: boolean
  /** Others share the micro-batches of each step: gradients have to come to the host. Default false. */
  readonly shared?: boolean
}

/** `store` is the host's, whatever the device. */
export const deviceLearner = (options: DeviceLearnerOptions): GraphLearner => {
  const { device = "cpu", store, threads, accumulates, optimizer, shared = false } = options
  switch (device) {
    case "webgpu":
      return graphLearner({ ...options, store: new ResidentStore(store, { device, threads, accumulates, optimizer }) })
    case "cuda":
      return shared ? graphLearner(options) : loopLearner(options)
    case "cpu":
      return graphLearner(options)
  }
}
