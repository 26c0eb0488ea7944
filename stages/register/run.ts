import type { StageResult } from "#src/domain/Pipeline.ts"

export const run = async (): Promise<StageResult> => Promise.reject(new Error("not written yet"))
