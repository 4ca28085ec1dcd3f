// A C++ program without Python that runs models with torchcrop_fast's layers inside.
//
//   deploy classify MODEL IMAGE...   prints the digit that each PGM or PPM image shows; MODEL is scripted (.pt) or
//                                    compiled ahead of time (.pt2)
//   deploy train NETWORK             takes one training step, behind a RandomCrop
//   deploy compare DIRECTORY         times the crops of export.py, torch's and ours; linked with the library, torch's
//                                    on our kernels, too
//
// Linked with torchcrop_fast::torchcrop_fast that is all. A program that isn't passes --library libtorchcrop_fast.so.
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/script.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef LINKED
#include <torchcrop_fast/override.h>
#endif

namespace {

constexpr const char* kNeedsOps =
    " needs torchcrop_fast's ops: link the program with torchcrop_fast::torchcrop_fast, or pass --library with the "
    "path of"
    " libtorchcrop_fast.so";

void require_file(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw std::runtime_error("there is no file " + path);
  }
}

// What load() makes of a file, or a sentence that says why it can't. what: the kind of model that it loads.
template <class Load>
auto load_model(const std::string& path, const std::string& what, const Load& load) {
  require_file(path);
  try {
    return load();
  } catch (const std::exception& error) {
    if (std::strstr(error.what(), "torchcrop_fast::")) {
      throw std::runtime_error(path + kNeedsOps);
    }
    throw std::runtime_error(path + " is no " + what + " model that this torch loads");
  }
}

torch::jit::Module load_scripted(const std::string& path) {
  return load_model(path, "scripted", [&] { return torch::jit::load(path); });
}

torch::inductor::AOTIModelPackageLoader load_compiled(const std::string& path) {
  return load_model(path, "compiled", [&] { return torch::inductor::AOTIModelPackageLoader(path); });
}

// A binary PGM or PPM as uint8 (1, H, W, 1); colors are averaged.
at::Tensor read_image(const std::string& path) {
  require_file(path);
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int64_t width = 0, height = 0, most = 0;
  file >> kind >> width >> height >> most;
  const int64_t channels = kind == "P6" ? 3 : 1;
  if (!file || (kind != "P5" && kind != "P6") || width <= 0 || height <= 0 || width > 1 << 20 || height > 1 << 20 ||
      most != 255) {
    throw std::runtime_error(path + " is no binary PGM or PPM image with 8 bits a channel");
  }
  file.get();  // the one character after the header
  const auto pixels = at::empty({1, height, width, channels}, at::kByte);
  if (!file.read(static_cast<char*>(pixels.mutable_data_ptr()), pixels.numel())) {
    throw std::runtime_error(path + " ends before its last pixel");
  }
  return pixels.to(at::kFloat).mean(/*dim=*/3, /*keepdim=*/true).round().to(at::kByte);
}

void classify(const std::string& model, const std::vector<std::string>& images) {
  const bool ahead_of_time = std::filesystem::path(model).extension() == ".pt2";
  const auto print = [&](const auto& run) {
    for (const std::string& path : images) {
      const at::Tensor probabilities = run(read_image(path));
      const auto [probability, digit] = probabilities[0].max(0);
      std::printf("%s: %d, %.1f%%\n", path.c_str(), digit.item<int>(), 100 * probability.item<double>());
    }
  };
  const c10::InferenceMode no_gradients;
  if (ahead_of_time) {
    torch::inductor::AOTIModelPackageLoader loader = load_compiled(model);
    print([&](const at::Tensor& image) { return loader.run({image})[0]; });
  } else {
    torch::jit::Module loaded = load_scripted(model);
    print([&](const at::Tensor& image) { return loaded.forward({image}).toTensor(); });
  }
}

// A step of gradient descent on random images, which RandomCrop moves.
void train(const std::string& path) {
  torch::jit::Module network = load_scripted(path);
  network.train();
  at::manual_seed(0);
  const auto images = at::rand({50, 1, 28, 28});
  const auto labels = at::randint(10, {50}, at::kLong);
  const auto loss_of = [&] {
    at::manual_seed(1);  // the same places, and the same dropout
    return at::cross_entropy_loss(network.forward({images}).toTensor(), labels);
  };
  const at::Tensor loss = loss_of();
  loss.backward();
  const c10::NoGradGuard no_gradients;
  for (at::Tensor parameter : network.parameters()) {
    parameter.sub_(parameter.grad(), 0.01);
  }
  std::printf("loss before and after one step: %.4f, %.4f\n", loss.item<double>(), loss_of().item<double>());
}

// A model, called as it is or with our kernels in torch's own pads.
struct Contender {
  torch::jit::Module model;
  bool overrides = false;

  at::Tensor operator()(const at::Tensor& input) { return model.forward({input}).toTensor(); }
};

// Calls use() with torch's pads on our kernels, if asked for.
template <class Use>
void call_overridden([[maybe_unused]] bool overrides, const Use& use) {
#ifdef LINKED
  if (overrides) {
    const auto override = torchcrop_fast::override_torch_pad();
    use();
    override.remove();
    return;
  }
#endif
  use();
}

// Microseconds of a call, the median of `calls` for each model, which take turns.
std::vector<double> time_calls(std::vector<Contender>& contenders, const at::Tensor& input, int calls) {
  std::vector<std::vector<double>> times(contenders.size());
  for (int call = -10; call < calls; ++call) {  // the first ones warm up, and let TorchScript optimize
    for (size_t i = 0; i < contenders.size(); ++i) {
      call_overridden(contenders[i].overrides, [&] {
        const auto begin = std::chrono::steady_clock::now();
        contenders[i](input);
        const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
        if (call >= 0) {
          times[i].push_back(time.count());
        }
      });
    }
  }
  std::vector<double> medians;
  for (auto& of_model : times) {
    std::nth_element(of_model.begin(), of_model.begin() + calls / 2, of_model.end());
    medians.push_back(of_model[calls / 2]);
  }
  return medians;
}

void compare(const std::string& directory) {
  const c10::InferenceMode no_gradients;
  struct Row {
    const char* what;
    const char* suffix;
    at::Tensor input;
    int calls;
  };
  const Row rows[] = {
      {"crops of 10 digits", ".pt", at::rand({10, 1, 28, 28}), 1000},
      {"a model of 10 digits", "_model.pt", at::rand({10, 1, 28, 28}), 1000},
      {"crops of 32 images, 3 x 256 x 256", ".pt", at::rand({32, 3, 256, 256}), 30},
  };
  for (const Row& row : rows) {
    std::vector<Contender> contenders;
    for (const char* const name : {"four_zero_pads", "four_of_ours", "one_crop"}) {
      contenders.push_back({load_scripted(directory + "/" + name + row.suffix)});
    }
#ifdef LINKED
    contenders.push_back({load_scripted(directory + "/four_zero_pads" + row.suffix), /*overrides=*/true});
#endif
    const at::Tensor expected = contenders[0](row.input);
    for (Contender& contender : contenders) {
      call_overridden(contender.overrides, [&] {
        if (!at::equal(contender(row.input), expected)) {
          throw std::runtime_error("the models differ");
        }
      });
    }
    const auto medians = time_calls(contenders, row.input, row.calls);
    if (&row == rows) {
      std::printf("milliseconds of 1,000 calls        four nn.ZeroPad2d  four of ours  one Crop2d  ");
      std::printf(medians.size() > 3 ? "nn.ZeroPad2d overridden\n" : "\n");
    }
    std::printf("%-33s %18.1f %13.1f %11.1f", row.what, medians[0], medians[1], medians[2]);
    std::printf(medians.size() > 3 ? " %24.1f\n" : "\n", medians.back());
  }
}

constexpr const char* kUsage =
    "usage: deploy [--library LIBRARY] classify MODEL IMAGE... | train NETWORK | compare DIRECTORY\n";

int run(std::vector<std::string> arguments) {
  if (arguments.size() >= 2 && arguments[0] == "--library") {
    if (!dlopen(arguments[1].c_str(), RTLD_NOW | RTLD_GLOBAL)) {
      throw std::runtime_error("the library does not load: " + std::string(dlerror()));
    }
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.size() >= 3 && arguments[0] == "classify") {
    classify(arguments[1], {arguments.begin() + 2, arguments.end()});
  } else if (arguments.size() == 2 && arguments[0] == "train") {
    train(arguments[1]);
  } else if (arguments.size() == 2 && arguments[0] == "compare") {
    compare(arguments[1]);
  } else {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run({arguments + 1, arguments + count});
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "deploy: %s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "deploy: %s\n", error.what());
  }
  return 1;
}
