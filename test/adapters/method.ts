// Methods as a pipeline file writes them, with every default filled in.
import * as Schema from "effect/Schema"
import {
  full,
  ia3,
  type Ia3Options,
  type LoraOptions,
  lora,
  Method,
  prefix,
  type PrefixOptions,
  promptTuning,
  type PromptTuningOptions,
  qlora,
  type QloraOptions
} from "#src/adapters/options.ts"

const decode = Schema.decodeUnknownSync(Method)

export const loraMethod = (options: Parameters<typeof lora>[0] = {}): LoraOptions => decode(lora(options)) as LoraOptions
export const ia3Method = (options: Parameters<typeof ia3>[0] = {}): Ia3Options => decode(ia3(options)) as Ia3Options
export const fullMethod = (options: Parameters<typeof full>[0] = {}): Method => decode(full(options))
export const prefixMethod = (options: Parameters<typeof prefix>[0] = {}): PrefixOptions => decode(prefix(options)) as PrefixOptions
export const promptTuningMethod = (options: Parameters<typeof promptTuning>[0] = {}): PromptTuningOptions =>
  decode(promptTuning(options)) as PromptTuningOptions
export const qloraMethod = (options: Parameters<typeof qlora>[0] = {}): QloraOptions => decode(qlora(options)) as QloraOptions
