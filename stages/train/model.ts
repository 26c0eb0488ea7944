// The base model made ready for training, and what training made of it written as a model folder.
import { initLora, loraParameters } from "#src/adapters/lora.ts"
import { saveAdapter } from "#src/adapters/peft.ts"
import { loadConfig, loadModel } from "#src/models/load.ts"
import type { Model, Parameter, Weights } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { type Tuning, tuningOf } from "#src/runtime/Tuning.ts"
import type { TrainConfig } from "./stage.ts"
