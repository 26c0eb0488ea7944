// The cases of bench/train.ts.
import { lora, prefix, qlora } from "#src/adapters/options.ts"
import type { TrainConfig } from "#stages/train/stage.ts"
import type { ShapeName } from "./trainingCase.ts"

export interface Case {
  readonly name: string
  readonly base: ShapeName
  /** Positions of each row, all trained on; or instruction rows from a file. */
  readonly rows: number | "real"
  readonly config: typeof TrainConfig.Encoded
  /** Timed steps, in `turns` blocks that take turns with the bare products. */
  readonly steps: number
  readonly turns: number
  /** The same in transformers and PEFT: a script and its arguments. */
  readonly rival?: readonly [string, ...string[]]
}

const adapter = { r: 8, loraAlpha: 16, targetModules: ["q_proj", "v_proj"] } as const
const methods = { full: {}, lora: { method: lora(adapter) }, qlora: { method: qlora(adapter) }, prefix: { method: prefix() } } as const
const dense = [
  { base: "tiny", batchSize: 8, rows: 128, steps: 8, turns: 4, rival: "tiny" },
  { base: "small", batchSize: 4, rows: 256, steps: 3, turns: 3, rival: "small" },
  { base: "135m", batchSize: 2, rows: 256, steps: 2, turns: 2, rival: "smol" }
] as const

export const cases: readonly Case[] = [
  ...dense.flatMap(({ base, batchSize, rows, steps, turns, rival }) =>
    (["full", "lora", "qlora", "prefix"] as const).map((method): Case => ({
      ...{ name: `dense ${base} ${method}`, base, rows, steps, turns },
      config: { batchSize, ...methods[method] },
      rival: [method === "prefix" ? "dense_peer.py" : "hf_cpu.py", rival, method]
    }))
  ),
  // Packed into rows as long as the longest document, about eight of them a step; the rival takes eight rows, padded to the longest.
  ...(["lora", "full"] as const).map((method): Case => ({
    ...{ name: `real rows ${method}`, base: "body", rows: "real", steps: 4, turns: 3 },
    config: { batchSize: 4, packing: true, ...methods[method] },
    rival: ["hf_real.py", method]
  })),
  // Activations computed again instead of kept: what it saves and what it costs, where activations are most of the memory.
  ...(["full", "lora"] as const).flatMap((method) =>
    [false, true].map((gradientCheckpointing): Case => ({
      ...{ name: `long rows ${method}${gradientCheckpointing ? ", checkpointing" : ""}`, base: "small", rows: 1024, steps: 1, turns: 3 },
      config: { batchSize: 4, gradientCheckpointing, ...methods[method] }
    }))
  )
]
