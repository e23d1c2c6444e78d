/// The classes that every program uses, compiled once.
#include "pylstm/pylstm.hpp"

namespace pylstm {

template class layers::ForwardPass<float>;
template class layers::ForwardPass<double>;
template class layers::BackwardPass<float>;
template class layers::BackwardPass<double>;
template class layers::RecurrentLayer<float>;
template class layers::RecurrentLayer<double>;
template class layers::StackLayer<float>;
template class layers::StackLayer<double>;
template class network::Network<float>;
template class network::Network<double>;
template class train::Trainer<float>;
template class train::Trainer<double>;

}  // namespace pylstm
