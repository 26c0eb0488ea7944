// train: tokens + base model -> a fine-tuned model folder and the log of every step. Option names are transformers' and PEFT's in camelCase.
import * as Schema from "effect/Schema"
import { Method } from "#src/adapters/options.ts"
import { field, optional, Positive, PositiveInt, Seed } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"
import { Device, environmentOf, kindOf, type NamedDevice } from "../device.ts"
import { runtimeFacts } from "../facts.ts"
import { optimizationFields } from "./optimization.ts"

const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const DropoutShare = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.99 }))

/** Far beyond what anybody trains with, and still a graph that can be built. */
const upTo = (most: number) => PositiveInt.check(Schema.isLessThanOrEqualTo(most))

export const TrainConfig = Schema.Struct({
  method: field(Method, { type: "full" }, "what is trained: full(), or an adapter, e.g. lora({ … }); their options are below"),
  batchSize: field(
    Schema.Union([upTo(2 ** 16), Schema.Literal("auto")]),
    8,
    'rows per micro-batch; with packing each of them holds several documents. "auto" is the largest of 1, 2, 4, 8, 16 and 32 whose forecast is within memoryLimit however long the rows turn out to be; a step then has that many rows times gradientAccumulationSteps. The plan settles it, and the number stands in the key'
  ),
  gradientAccumulationSteps: field(
    PositiveInt,
    1,
    "micro-batches per optimizer step; the loss is normalised over all their trained tokens"
  ),
  packing: field(
    Schema.Boolean,
    false,
    "pack documents into full rows: attention and positions stay within each document, so the loss of a token does not change. What all rows begin with, such as a system prompt, is computed once a row, unless something is dropped out"
  ),
  packLength: optional(
    upTo(2 ** 20),
    "positions of a packed row; default: the longest document's, rounded up to a multiple of 16. In longer ones more documents share what all begin with"
  ),
  groupByLength: field(
    Schema.Boolean,
    false,
    "rows of like length go into the same micro-batch, which saves padding where rows are not packed"
  ),
  epochs: field(Positive, 3, "passes over the training rows; may be a fraction"),
  maxSteps: optional(PositiveInt, "optimizer steps; overrides epochs"),
  ...optimizationFields,
  attentionDropout: field(DropoutShare, 0, "share of the attention weights that are dropped while training"),
  residualDropout: field(DropoutShare, 0, "the same of what each attention and MLP block adds to the residual stream"),
  embeddingDropout: field(DropoutShare, 0, "the same of the embedded tokens"),
  neftuneNoiseAlpha: field(
    NotNegative,
    0,
    "noise on the embedded tokens while training (NEFTune): uniform within alpha / sqrt(tokens of the row x hidden_size)"
  ),
  labelSmoothingFactor: field(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.99 })),
    0,
    "share of each target that is spread evenly over the vocabulary; the training loss is then the smoothed one, the validation loss is not"
  ),
  l2ToBase: field(
    NotNegative,
    0,
    "lambda: adds lambda/2 x the squared distance of the trained weights from those that training starts from; keeps these in memory, 4 bytes a value"
  ),
  evalSteps: optional(PositiveInt, "validate every so many steps; default: at the end of each epoch"),
  saveSteps: optional(PositiveInt, "save a checkpoint every so many steps; default: with each validation, or at the end of each epoch"),
  saveTotalLimit: field(PositiveInt, 2, "checkpoints kept: the newest ones and the best"),
  loadBestModelAtEnd: field(Schema.Boolean, true, "the result is the model with the lowest validation loss, not the last one"),
  earlyStoppingPatience: optional(PositiveInt, "stop after so many validations without improvement"),
  earlyStoppingThreshold: field(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)), 0, "an improvement must be larger than this"),
  seed: field(Seed, 42, "seed of data order, dropout and adapter initialisation"),
  initialWeights: field(
    Schema.Literals(["base", "random"]),
    "base",
    "start from the base folder's weights, or from random ones (its config.json only needs to describe the model)"
  ),
  dtype: field(
    Schema.Literals(["float32", "bfloat16", "float16"]),
    "float32",
    "a 16-bit type halves the memory of frozen weights; on cuda matrix products are computed in it too, with float16 over a dynamically scaled loss. All else, trained weights and the optimizer's state are float32"
  ),
  device: field(
    Device,
    "auto",
    'device of the computation: "cpu"; "cuda" or "cuda:1", or a list of these, which share the micro-batches of each step; "webgpu" for any GPU, where the state stays in its memory; "auto" is settled by the plan: CUDA where its files and a driver are, else, and for batchSize "auto" and adafactor with scaleParameter, the CPU. The kind stands in the key, so that another kind trains anew; the number does not'
  ),
  stepsPerRun: optional(
    PositiveInt,
    "on one cuda device: optimizer steps that one run makes, since weights and the optimizer's state go to the device and back with each run; a run ends where a validation or a checkpoint is due, and a stop waits for its end; the result is the same to the byte; default: 8 to 64, one for each 16 MiB of weights and state"
  ),
  threads: optional(PositiveInt, "threads of the computation, all workers together; default: --threads of the run, else one a core"),
  gradientCheckpointing: field(
    Schema.Boolean,
    false,
    "keep only the borders between layers and compute the rest again in the backward pass: less memory, about a third more time, the same result"
  ),
  workers: field(
    PositiveInt,
    1,
    "processes that share the micro-batches of each step, each with the frozen weights and a graph of its own; at most gradientAccumulationSteps of them; the result is the same to the byte"
  ),
  memoryLimit: optional(
    Schema.Union([
      PositiveInt,
      Schema.String.check(Schema.isPattern(/^\d+(\.\d+)? ?([kMGT]?B|[KMGT]iB)$/, { expected: 'bytes, or a size as "8GB"' }))
    ]),
    'memory that the training may take, as "8GB" or in bytes: where the forecast is above it, the stage fails before it reads a weight and names settings that fit; default: what the machine, or the control group, has'
  ),
  loggingSteps: field(PositiveInt, 1, "report metrics every so many steps")
})
/** As a pipeline file leaves it: what is "auto" is settled by the plan. */
export type WrittenTrainConfig = typeof TrainConfig.Type
/** As the stage is given it. */
export type TrainConfig = WrittenTrainConfig & { readonly batchSize: number; readonly device: NamedDevice }

/** Options that change no number: they stand in no key and in no result. The device's kind does: it is one of the facts. */
export const executionOnly = [
  "device",
  "loggingSteps",
  "gradientCheckpointing",
  "stepsPerRun",
  "threads",
  "workers",
  "memoryLimit"
] as const

export const trainKind = stageKind({
  kind: "train",
  version: 4,
  config: TrainConfig,
  inputs: { train: "tokens", validation: "tokens?", base: "base", adapter: "model?" },
  outputs: { model: "model", log: "log" },
  executionOnly,
  settle: () => import("./settle.ts"),
  facts: ({ device, dtype }: TrainConfig) => runtimeFacts({ device: kindOf(device), dtype }),
  isolate: true,
  environment: ({ device }: TrainConfig) => environmentOf(device),
  run: () => import("./run.ts")
})
