// Forecasts the value after the end of a series with a model that Python saved, as examples/cpp/predict.cpp does:
//   node forecast.js model.safetensors series.csv n_steps
"use strict";
const fs = require("fs");
const { Model, forecast } = require("./model.js");

async function main([file, csv, steps]) {
  const model = await Model.load(fs.readFileSync(file));
  const series = fs.readFileSync(csv, "utf8").trim().split("\n").slice(1).map(Number);
  console.log("next value:", forecast(model, series, Number(steps), 1)[0].toPrecision(9));
}

main(process.argv.slice(2));
