/// pylstm: the LSTM and its family on a CPU, in C++20 headers.
///
///   pylstm::network::Network<float>   stacked recurrent layers and a dense head; initialize, predict
///   pylstm::train::Trainer<float>     mini-batch training; run_epoch
///   pylstm::train::predict            predictions for an array, its windows or a mapped file: train::SampleView
///   pylstm::stream::Stream<float>     a network one time step at a time, in real time
///   pylstm::stream::StaticStream      one layer and a head of compile-time sizes, likewise; stream::static_stream
///   pylstm::layers::RecurrentLayer    one layer, forward and backpropagation through time
///   pylstm::ThreadPool                how many threads
///   pylstm::set_isa, available_isas   which vector instructions
///
/// Model files, written here or in Python, are a header of their own, which needs nlohmann-json:
///
///   #include "pylstm/io/model_file.hpp"
///   const auto network = pylstm::io::load<float>("model.safetensors");
///   pylstm::Interrupt never;
///   pylstm::train::predict(network, {x, false, samples, steps, features, strides in bytes...}, y, never);
///   pylstm::io::save(network, "copy.safetensors");
///
/// For C, and for languages that call C: pylstm.h.
#pragma once

#include "pylstm/base/thread_pool.hpp"
#include "pylstm/dispatch.hpp"
#include "pylstm/layers/recurrent.hpp"
#include "pylstm/network/network.hpp"
#include "pylstm/stream/static_network.hpp"
#include "pylstm/stream/stream.hpp"
#include "pylstm/train/predict.hpp"
#include "pylstm/train/trainer.hpp"
#include "pylstm/version.hpp"
