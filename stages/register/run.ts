// The register stage: a model that passes its gate becomes the next version of a name, with a card that says where it comes from.
import { join } from "node:path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { BugError, DataError, GateError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import { Scores } from "#src/domain/Scores.ts"
import type { InputArtifact, StageContext } from "#src/domain/StageContext.ts"
import { readModelInfo } from "#src/runtime/ModelFolder.ts"
import { copyFolder } from "#src/store/copyFolder.ts"
import { readText, writeJson, writeText } from "#src/store/textFile.ts"
import { modelCard } from "./card.ts"
import { unmetRequirements } from "./gate.ts"
import type { RegisterConfig } from "./stage.ts"

/** @throws GateError where a requirement is not met: no version is taken; DefinitionError, DataError */
export const run = async (context: StageContext<RegisterConfig>): Promise<StageResult> => {
  const { config, stage, reserveVersion } = context
  const inputs = context.inputs as Readonly<Record<"model" | "scores", InputArtifact>>
  const scores = await readScores(inputs.scores.path)
  const info = await readModelInfo(inputs.model.path)
  if (info === undefined) {
    throw new DataError({
      message: "the model folder has no anneal.json",
      where: inputs.model.path,
      hint: "register what a train stage made"
    })
  }
  const unmet = unmetRequirements(config.requires, scores, stage)
  if (unmet.length > 0) {
    throw new GateError({
      message: `${config.name} is not registered: ${unmet.join("; ")}`,
      where: `${stage}.requires`,
      hint: "improve the model, or change the requirement in the pipeline file"
    })
  }
  if (reserveVersion === undefined) throw new BugError({ message: "register must run in the engine's process", where: stage })
  const { name, aliases, description } = config
  const version = await reserveVersion(name)

  const folder = context.output("registration")
  const digests = { model: inputs.model.digest, scores: inputs.scores.digest }
  await copyFolder(inputs.model.path, folder)
  await writeText(join(folder, "README.md"), modelCard({ name, version, description, pipeline: context.pipeline, info, scores, digests }))
  await writeJson(join(folder, "registration.json"), {
    name,
    version,
    aliases,
    digests,
    requires: config.requires,
    metrics: scores.metrics
  })
  return {
    summary: `${name}@${version}${aliases.length === 0 ? "" : ` (${aliases.join(", ")})`}`,
    registration: { name, version, aliases, output: "registration" }
  }
}

/** @throws DataError where the file is no scores artifact */
const readScores = async (path: string): Promise<Scores> => {
  const decoded = Schema.decodeUnknownResult(Schema.fromJsonString(Scores))(await readText(path))
  if (Result.isSuccess(decoded)) return decoded.success
  throw new DataError({
    message: "the file holds no scores",
    where: path,
    why: decoded.failure.message,
    hint: "wire an evaluate stage's output"
  })
}
