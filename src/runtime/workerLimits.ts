/**
 * Of a thread that runs a stage's native code. V8 lets short-lived objects take 48 MB before it looks for the dead ones; with less, the peak of a training's process
 * is 12 to 38 MB lower (npm run bench:memory) and its steps take as long.
 */
export const workerLimits = { maxYoungGenerationSizeMb: 6 }
